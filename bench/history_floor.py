"""The floor of the history: 50 constant messages through a Pydantic `response_model`.

No token, no parameter, no store. Started by `python -m bench.history_floor PORT`: uvicorn, uvloop,
httptools, one worker.
"""

import sys
import uuid
from datetime import UTC, datetime, timedelta

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

PAGE = 50
PATH = "/history"

app = FastAPI()


class Message(BaseModel):
    conversation_id: uuid.UUID
    message_id: uuid.UUID
    sender_id: str
    content: str
    created_at: datetime
    status: str
    seq: int


MESSAGES = [
    Message(
        conversation_id=uuid.UUID(int=1),
        message_id=uuid.UUID(int=1000 + number, version=4),
        sender_id=f"user{number}",
        content="x" * 100,
        created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number),
        status="DELIVERED",
        seq=1000 + number,
    )
    for number in range(PAGE)
]


@app.get(PATH, response_model=list[Message])
async def history() -> list[Message]:
    return MESSAGES


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
