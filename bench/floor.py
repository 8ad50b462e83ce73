"""The floor: the accept route as FastAPI's own documentation writes it, and nothing behind it.

`async def` throughout, the token checked by a dependency, the body a Pydantic model. It answers 202
with a UUID and stores nothing. Started by `python -m bench.floor PORT`: uvicorn, uvloop, httptools,
one worker.
"""

import sys
import uuid
from typing import Annotated

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel

SECRET = "the floor's secret, which is long enough"
USERS = 100

app = FastAPI()
scheme = OAuth2PasswordBearer(tokenUrl="/token")


class Message(BaseModel):
    chat_id: uuid.UUID
    content: str
    message_id: uuid.UUID | None = None


class Accepted(BaseModel):
    status: str
    message_id: uuid.UUID


async def user(token: Annotated[str, Depends(scheme)]) -> str:
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    return str(claims["sub"])


@app.post("/v1/messages", status_code=202)
async def send(message: Message, sender: Annotated[str, Depends(user)]) -> Accepted:
    return Accepted(status="accepted", message_id=message.message_id or uuid.uuid4())


def token(name: str) -> str:
    return jwt.encode({"sub": name}, SECRET, "HS256")


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
