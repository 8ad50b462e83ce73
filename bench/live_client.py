"""The load generator of live delivery: a process of its own, with all the clients in it.

`python -m bench.live_client` reads a job as JSON from standard input, connects, prints `ready`,
does the job and prints its result as JSON, each on a line. Before `ready` comes a line with the
milliseconds from each connection to its `resumed`, as JSON.

Job: `host`, `port`, `sockets` (each the token of its user), `positions` (those that all of them
resume from, at most one), `requests` (each a whole HTTP/1.1
request that leads to one message, sent in turns), `rate` (requests a second, open loop) or null
(closed loop over `connections`), `messages` (how many requests), `deliveries` (frames that arrive
for one message), and `patience`, the seconds that the whole may take.

A request has `DUE` in its content, in whose place comes when it was due; a frame is known by it.

Result: `deliveries`, `failed` (answers other than 2xx), `seconds` from the first frame to the last
one, and `latencies_ms`, each from when a request was due to a frame of it at a recipient.
"""

import asyncio
import json
import resource
import sys
import time
from collections import deque
from typing import Any, cast

import uvloop

DUE = "DUE-0000000000000000"
"""What a request has in place of its time: `DUE-` and microseconds, always as long."""

RESUMED = b'{"type":"resumed"}'
"""What a floor says to a socket that it has."""

_MARK = b"DUE-"
_DIGITS = len(DUE) - len(_MARK)


def stamp_of(request: bytes) -> bytes:
    """Return what a request has in the place of `DUE`."""
    at = request.index(_MARK)
    return request[at : at + len(DUE)]


def handshake(token: str) -> bytes:
    return (
        "GET /v1/live HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"authorization: Bearer {token}\r\n\r\n"
    ).encode()


def masked(payload: bytes) -> bytes:
    """Return a client's frame; its mask is zero, which changes no byte."""
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


class Listener(asyncio.Protocol):
    """A socket. What it receives is not parsed, only searched: the generator must be fast."""

    def __init__(self, run: "Run", token: str) -> None:
        self._run = run
        self._token = token
        self._rest = b""
        self._resumed = False
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._began = time.monotonic()
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(handshake(self._token))
        self._transport.write(masked(self._run.resume))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        data = self._rest + data
        if not self._resumed:
            if b'"resumed"' not in data:
                self._rest = data
                return
            self._resumed = True
            self._run.is_ready(now - self._began)
        at = data.find(_MARK)
        while at >= 0 and at + len(DUE) <= len(data):
            digits = data[at + len(_MARK) : at + len(DUE)]
            self._run.arrived(now, int(digits) / 1e6)
            at = data.find(_MARK, at + len(DUE))
        self._rest = data[at:] if at >= 0 else data[1 - len(_MARK) :]

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost()


class Sender(asyncio.Protocol):
    """A keep-alive connection with at most one request under way."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due: float) -> None:
        request = self._run.next_request()
        stamp = b"%s%0*d" % (_MARK, _DIGITS, int(due * 1e6))
        self._transport.write(request.replace(DUE.encode(), stamp))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(body) >= length:
            self._buffer = b""
            self._run.answered(self, head[9:10] == b"2")

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost()


class Run:
    """One job."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._requests: list[bytes] = [request.encode() for request in job["requests"]]
        self.resume = json.dumps({"type": "resume", "positions": job["positions"]}).encode()
        self.resumed: list[float] = []
        self._sent = self.failed = 0
        self._expected = job["messages"] * job["deliveries"]
        self._idle: deque[Sender] = deque()
        self._due: deque[float] = deque()
        self._all_ready, self._done = asyncio.Event(), asyncio.Event()
        self.first = self.last = 0.0
        self.latencies: list[float] = []

    def is_ready(self, seconds: float) -> None:
        self.resumed.append(seconds)
        if len(self.resumed) == len(self._job["sockets"]):
            self._all_ready.set()

    def next_request(self) -> bytes:
        self._sent += 1
        return self._requests[(self._sent - 1) % len(self._requests)]

    def arrived(self, now: float, due: float) -> None:
        self.first = self.first or now
        self.last = now
        self.latencies.append(now - due)
        if len(self.latencies) >= self._expected:
            self._done.set()

    def answered(self, sender: Sender, ok: bool) -> None:
        self.failed += not ok
        if self._due:
            sender.send(self._due.popleft())
        elif self._job["rate"] is None and self._sent < self._job["messages"]:
            sender.send(time.monotonic())
        else:
            self._idle.append(sender)

    def lost(self) -> None:
        self.failed += not self._done.is_set()

    async def go(self) -> None:
        job, loop = self._job, asyncio.get_running_loop()
        for token in job["sockets"]:
            await loop.create_connection(
                lambda token=token: Listener(self, token),  # type: ignore[misc]
                job["host"],
                job["port"],
            )
        senders = [
            (await loop.create_connection(lambda: Sender(self), job["host"], job["port"]))[1]
            for _ in range(job["connections"])
        ]
        await self._all_ready.wait()
        print(json.dumps([_milliseconds(seconds) for seconds in self.resumed]))
        print("ready", flush=True)
        if not job["messages"]:
            await self._done.wait()  # idle, until killed
        if job["rate"] is None:
            for sender in senders:
                sender.send(time.monotonic())
        else:
            self._idle.extend(senders)
            await self._keep_the_rate()
        await self._done.wait()

    async def _keep_the_rate(self) -> None:
        started = time.monotonic()
        for number in range(self._job["messages"]):
            due = started + number / self._job["rate"]
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._idle:
                self._idle.popleft().send(due)
            else:
                self._due.append(due)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    job = json.loads(sys.stdin.readline())
    run = Run(job)
    try:
        async with asyncio.timeout(job["patience"]):
            await run.go()
    except TimeoutError:
        pass  # what is missing is seen by the number of deliveries
    result = {
        "deliveries": len(run.latencies),
        "failed": run.failed,
        "seconds": run.last - run.first,
        "latencies_ms": [_milliseconds(latency) for latency in run.latencies],
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
