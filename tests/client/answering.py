"""A server that answers requests with what a test says, one after another."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

LOST: Final = None
"""In the place of an answer: the connection ends."""

NEVER: Final = "never"
"""No answer, and the connection stays open."""

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | str | None


class Answering:
    """Its address, and the requests that came: method, path, headers and body."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split(" ")
                is_json = "json" in headers.get("content-type", "")
                self.requests.append((method, path, headers, json.loads(body) if is_json else body))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if answer is LOST:
                    break
                if isinstance(answer, str):
                    await asyncio.sleep(60)
                else:
                    writer.write(_encoded(*answer))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def answering(*answers: Answer) -> AsyncIterator[Answering]:
    """Serve these answers, the last one again and again."""
    found = Answering([*answers])
    async with listening(found.handle) as found.url:
        yield found


@asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> AsyncIterator[str]:
    """Handle connections, and give the address; those that are left are ended with the context."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(handle(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _encoded(status: int, body: Any, headers: dict[str, str] | None = None) -> bytes:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content
