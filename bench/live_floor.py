"""The floor of a delivery: a bare HTTP hop, two commits to disk one after the other, a socket hop.

Each POST is written to one file and synced, then to a second one and synced, then sent to the
socket of its sender's partner: what stands in `Authorization` is the partner's number. Nothing is
parsed, numbered or checked. Started by `python -m bench.live_floor PORT FOLDER`: uvicorn, uvloop,
httptools, websockets-sansio, one worker.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn

from .live_client import DUE, RESUMED, stamp_of
from .live_loop import FRAME


class Pairs:
    """The application."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        self._files = [os.open(folder / name, flags) for name in ("first", "second")]
        self._writer = ThreadPoolExecutor(1)
        self._sockets: dict[bytes, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match scope["type"]:
            case "http":
                await self._take(scope, receive, send)
            case "websocket":
                await self._listen(scope, receive, send)

    async def _take(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        loop = asyncio.get_running_loop()
        if body:
            await loop.run_in_executor(self._writer, self._commit, self._files[0], body)
        answer = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 202, "headers": answer})
        await send({"type": "http.response.body", "body": b"{}"})
        if body:
            await loop.run_in_executor(self._writer, self._commit, self._files[1], body)
            frame = FRAME.replace(DUE.encode(), stamp_of(body)).decode()
            await self._sockets[_partner(scope)]({"type": "websocket.send", "text": frame})

    async def _listen(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self._sockets[_partner(scope)] = send
        await send({"type": "websocket.send", "text": RESUMED.decode()})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    def _commit(self, file: int, body: bytes) -> None:
        os.write(file, body)
        os.fdatasync(file)


def _partner(scope: Any) -> bytes:
    return bytes(dict(scope["headers"])[b"authorization"])


if __name__ == "__main__":
    uvicorn.run(
        Pairs(Path(sys.argv[2])),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        access_log=False,
        log_level="warning",
    )
