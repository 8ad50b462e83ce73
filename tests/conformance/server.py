"""A server that plays one scenario: HTTP and WebSockets on one port."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import h11

from tests.conformance.data import Json, Scenario
from tests.conformance.record import Record
from tests.conformance.routes import FORM, Reply, Request, Routes
from tests.conformance.script import SocketScript
from tests.conformance.store import Store
from tests.conformance.tokens import Tokens
from tests.conformance.websocket import Socket
from tests.conformance.writes import SLACK, Answer, Rules, Writes, problem

BEARER = "bearer."


class ScriptedServer:
    """What it saw is in `record`."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        described = scenario.server
        self.record = Record()
        self._store = Store(described.get("conversations", {}))
        self._tokens = Tokens(described.get("tokens", {}))
        self._rules = Rules(described.get("calls", {}), self.record)
        self._writes = Writes(self._rules, self.record, scenario.pace)
        self._routes = Routes(self._tokens, self._store, self._rules, self._writes, self.record)
        sockets = described.get("sockets")
        self._scripts: list[list[Json]] = [list(steps) for steps in sockets or []]
        self._again: list[Json] | None = None
        """The script of all connections from then on."""
        self._is_free = sockets is None
        self._playing: list[SocketScript] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._first_end = 0.0
        """When a connection was ended, or its handshake was refused, for the first time."""
        self._last_end = 0.0

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str]:
        """Serve at the address that this yields."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    def unfinished(self) -> list[str]:
        """Return what the scenario waited for in vain."""
        left = [f"calls: {kind}" for kind in self._rules.unused()]
        if self._scripts:
            left.append(f"{len(self._scripts)} more connections")
        if any(not playing.has_played for playing in self._playing):
            left.append("the steps of a connection")
        return left

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.record.fault(f"the suite itself failed: {error!r}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while True:
                request, raw = await _read(connection, reader)
                if request is None:
                    break
                if request.headers.get("upgrade", "").lower() == "websocket":
                    await self._upgrade(request, raw, reader, writer, connection)
                    break
                reply = await self._routes.reply(request)
                if reply is None:
                    break
                writer.write(_bytes_of(connection, reply))
                await writer.drain()
                if connection.our_state is h11.MUST_CLOSE:
                    break
                connection.start_next_cycle()
        except (OSError, h11.RemoteProtocolError) as error:
            self.record.tell(f"a connection ended: {error!r}")
        finally:
            writer.transport.abort()

    async def _upgrade(
        self,
        request: Request,
        raw: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: h11.Connection,
    ) -> None:
        self.record.tell("handshake")
        token = request.bearer or _offered_token(request)
        steps = self._next_script(token)
        if steps and "since_first" in steps[0]:
            least = SLACK * self._scenario.pace * steps.pop(0)["since_first"]
            if time.monotonic() - self._first_end < least:
                self.record.fault(f"the client tried everything within {least:.3f} s")
        if steps and "not_before" in steps[0]:
            least = SLACK * self._scenario.pace * steps.pop(0)["not_before"]
            if time.monotonic() - self._last_end < least:
                self.record.fault(f"the client connected again in less than {least:.3f} s")
        if steps is None:
            refusal = Reply(problem(503))
        elif refused := _refusal(steps):
            refusal = refused
        else:
            socket = Socket(reader, writer)
            socket.accept(raw)
            await self._play(socket, steps, token)
            return
        self._ended()
        writer.write(_bytes_of(connection, refusal))
        await writer.drain()

    def _ended(self) -> None:
        self._last_end = time.monotonic()
        self._first_end = self._first_end or self._last_end

    def _next_script(self, token: str | None) -> list[Json] | None:
        if token is not None and token not in self._tokens.good:
            return []  # it gets 4401
        if self._is_free:
            return [{"resume": "any"}, {"resumed": {}}]
        if not self._scripts and self._again is None:
            self.record.fault("the client opened a connection more than it should have")
            return None
        if self._again is None and "again" in self._scripts[0][0]:
            self._again = self._scripts.pop(0)[1:]
        return list(self._again or self._scripts.pop(0))

    async def _play(self, socket: Socket, steps: list[Json], token: str | None) -> None:
        playing = SocketScript(
            socket,
            steps,
            self._scenario.server,
            store=self._store,
            tokens=self._tokens,
            writes=self._writes,
            record=self.record,
            pace=self._scenario.pace,
        )
        if steps and not self._is_free:
            self._playing.append(playing)
        await playing.play(token)
        if playing.is_refused and playing in self._playing:
            self._playing.remove(playing)
            self._scripts.insert(0, steps)
        self._ended()
        self.record.tell("a connection ended")


def _offered_token(request: Request) -> str | None:
    for offered in request.headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(BEARER):
            return offered.strip().removeprefix(BEARER)
    return None


def _refusal(steps: list[Json]) -> Reply | None:
    if steps and "refuse" in steps[0]:
        return Reply(problem(steps[0]["refuse"], retry_after=steps[0].get("retry_after")))
    return None


async def _read(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> tuple[Request | None, bytes]:
    """Return the next request, None at the end, and the bytes that it came in."""
    raw = b""
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(64 * 1024)
            raw += data
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return None, raw
    assert head is not None
    headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
    request = Request(head.method.decode(), head.target.decode(), headers, _decoded(headers, body))
    return request, raw


def _decoded(headers: dict[str, str], body: bytes) -> object:
    if not body:
        return None
    if headers.get("content-type", "").startswith(FORM):
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    return json.loads(body)


def _bytes_of(connection: h11.Connection, reply: Reply) -> bytes:
    answer: Answer = reply.answer
    body = b"" if answer.body is None else json.dumps(answer.body, ensure_ascii=False).encode()
    kind = "application/json" if answer.status < 400 else "application/problem+json"
    headers = [("Content-Length", str(len(body))), ("Content-Type", kind), *reply.headers]
    if answer.retry_after is not None:
        headers.append(("Retry-After", str(answer.retry_after)))
    sent = [
        connection.send(h11.Response(status_code=answer.status, headers=headers)),
        connection.send(h11.Data(data=body)),
        connection.send(h11.EndOfMessage()),
    ]
    return b"".join(part for part in sent if part)
