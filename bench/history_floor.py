"""The floor of the history: 50 constant messages through a Pydantic `response_model`.

The messages are as they come from a database driver, so that Pydantic reads each and writes each;
but there is no database, no token and no parameter. Started by `python -m bench.history_floor
PORT`: uvicorn, uvloop, httptools, one worker.
"""

import sys
import uuid
from datetime import datetime
from typing import Any

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


MESSAGES: list[dict[str, Any]] = [
    {
        "conversation_id": str(uuid.UUID(int=1)),
        "message_id": str(uuid.UUID(int=1000 + number, version=4)),
        "sender_id": f"user{number}",
        "content": "x" * 100,
        "created_at": f"2026-01-01T00:00:00.{number:03d}Z",
        "status": "DELIVERED",
        "seq": 1000 + number,
    }
    for number in range(PAGE)
]


@app.get(PATH, response_model=list[Message])
async def history() -> list[dict[str, Any]]:
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
