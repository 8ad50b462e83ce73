"""The floor of a list of conversations: the same rows, asked for as plainly as can be.

One route of bare FastAPI that reads what the list is made of, with the queries written out and
without a word about who asks: all memberships of one user, when the log had the newest message of
each, and of the newest fifty titles, members, last messages and markers. Started by `python -m
bench.list_floor PORT DATA`: uvicorn, uvloop, httptools, one worker.
"""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

PAGE = 50
PATH = "/list"
WHO = "user0"

app = FastAPI()


def rows(store: sqlite3.Connection, metadata: sqlite3.Connection) -> dict[str, Any]:
    joined = metadata.execute(
        "SELECT conversation_id, role, joined_at FROM members WHERE username = ?", (WHO,)
    ).fetchall()
    newest = store.execute(
        "SELECT order_ms, conversation_id, seq FROM json_each(?) "
        "JOIN conversation_heads ON conversation_id = value "
        "JOIN messages USING (conversation_id, seq) ORDER BY 1 DESC, 2 DESC LIMIT ?",
        (json.dumps([row[0] for row in joined]), PAGE),
    ).fetchall()
    ids = [row[1] for row in newest]
    marks = ",".join("?" * len(ids))
    return {
        "conversations": metadata.execute(
            f"SELECT * FROM conversations WHERE conversation_id IN ({marks})", ids
        ).fetchall(),
        "members": metadata.execute(
            f"SELECT * FROM members WHERE conversation_id IN ({marks})", ids
        ).fetchall(),
        "messages": store.execute(
            f"SELECT messages.* FROM messages JOIN conversation_heads USING (conversation_id, seq) "
            f"WHERE conversation_id IN ({marks})",
            ids,
        ).fetchall(),
        "markers": store.execute(
            f"SELECT * FROM read_markers WHERE conversation_id IN ({marks})", ids
        ).fetchall(),
    }


def main(port: str, data: str) -> None:
    store, metadata = (
        sqlite3.connect(f"file:{Path(data) / name}?mode=ro", uri=True, check_same_thread=False)
        for name in ("store.db", "metadata.db")
    )

    @app.get(PATH)
    async def listed() -> Response:
        return Response(json.dumps(rows(store, metadata)), media_type="application/json")

    uvicorn.run(
        app,
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
