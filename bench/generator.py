"""The load generator: a process of its own.

`python -m bench.generator` reads a job as JSON from standard input and prints its result as JSON.

Job: `host`, `port`, `requests` (each a whole HTTP/1.1 request as text, sent in turns),
`connections`, `seconds`, and `rate` (requests a second, open loop) or null (closed loop: each
connection sends as soon as it has its answer).

Result: `ok` and `failed` (answers other than 2xx, and lost connections), `seconds`, and
`latencies_ms`, in the open loop counted from when a request was *due*.
"""

import asyncio
import json
import sys
import time
from collections import deque
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._buffer = b""
        self._due = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def send(self, due: float) -> None:
        assert self.transport is not None
        self._due = due
        self.transport.write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length: ")
        line_end = head.find(b"\r\n", at)
        length = int(head[at + 16 : line_end if line_end > 0 else None])
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer = b""
        self._run.answered(self, head[9:10] == b"2", self._due)

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost()


class Run:
    """One job."""

    def __init__(self, job: dict[str, object]) -> None:
        self._requests = [str(r).encode() for r in job["requests"]]  # type: ignore[attr-defined]
        self._next = 0
        self._rate = job["rate"]
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._ending = False
        self.ok = self.failed = 0
        self.latencies: list[float] = []

    def next_request(self) -> bytes:
        request = self._requests[self._next]
        self._next = (self._next + 1) % len(self._requests)
        return request

    def answered(self, connection: Connection, ok: bool, due: float) -> None:
        now = time.perf_counter()
        if self._ending:
            return
        if ok:
            self.ok += 1
            self.latencies.append(now - due)
        else:
            self.failed += 1
        if self._rate is None:
            connection.send(now)
        elif self._due:
            connection.send(self._due.popleft())
        else:
            self._idle.append(connection)

    def lost(self) -> None:
        if not self._ending:
            self.failed += 1

    async def go(self, host: str, port: int, connections: int, seconds: float) -> float:
        loop = asyncio.get_running_loop()
        made = [
            (await loop.create_connection(lambda: Connection(self), host, port))[1]
            for _ in range(connections)
        ]
        started = time.perf_counter()
        if self._rate is None:
            for connection in made:
                connection.send(started)
            await asyncio.sleep(seconds)
        else:
            self._idle.extend(made)
            await self._keep_the_rate(started, seconds)
        took = time.perf_counter() - started
        self._ending = True
        for connection in made:
            assert connection.transport is not None
            connection.transport.close()
        return took

    async def _keep_the_rate(self, started: float, seconds: float) -> None:
        assert isinstance(self._rate, int | float)
        sent = 0
        while (now := time.perf_counter()) < started + seconds:
            while started + sent / self._rate <= now:
                due = started + sent / self._rate
                sent += 1
                if self._idle:
                    self._idle.popleft().send(due)
                else:
                    self._due.append(due)
            await asyncio.sleep(0.0005)


async def main() -> None:
    job = json.load(sys.stdin)
    run = Run(job)
    took = await run.go(job["host"], job["port"], job["connections"], job["seconds"])
    json.dump(
        {
            "ok": run.ok,
            "failed": run.failed,
            "seconds": took,
            "latencies_ms": [round(latency * 1000, 3) for latency in run.latencies],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    uvloop.run(main())
