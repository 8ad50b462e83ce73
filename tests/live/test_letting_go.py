"""A socket that is gone leaves nothing but numbers, a line in the log, and no work for the
collector, which runs too seldom to clean up after many connections.
"""

import gc
import logging
import weakref
from typing import Any

import pytest

from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from chat4all.gateway.live.sockets import LiveSockets
from chat4all.http.access_log import CALLER, AccessLog
from tests.clocks import Clock
from tests.live.frames import BINARY, PING, close, frame, text
from tests.live.memory import Connection, live_sockets, request
from tests.live.sockets import write_paced

pytestmark = pytest.mark.anyio

SECRET = "a-token-that-nobody-may-see"


@pytest.fixture
async def live() -> LiveSockets:
    return live_sockets()[0]


ENDS: dict[str, bytes] = {
    "lost": b"",
    "in a message": text("x" * 200)[:-1],
    "in pieces": text("x", fin=False),
    "closed": close(1000),
    "no frame": b"\xff\xff",
    "too large": text("x" * 70_000)[:100],
    "binary": frame(BINARY, b"x"),
    "not UTF-8": text(b"\xff"),
    "flood": frame(PING) * 600,
}


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_left_for_the_collector(end: str) -> None:
    made: list[weakref.ref[Any]] = []

    class Client:
        """As a real one, it knows its socket, which knows it."""

        def __init__(self, socket: Any, _: Any) -> None:
            self.socket = socket
            made.append(weakref.ref(self))

        def received(self, frame: bytes) -> None: ...

        def closed(self) -> None: ...

    live = LiveSockets(Client)
    connection = Connection(live)
    connection.send(text("before"))
    connection.send(ENDS[end])
    connection.pass_time(6)
    connection.transport.lose()
    left: list[weakref.ref[Any]] = [weakref.ref(connection.socket._parser), *made]
    assert len(left) == 2
    counts, frames = live.counts, live._shared.frames
    gc.disable()
    try:
        del connection
        assert [one() for one in left] == [None, None]
    finally:
        gc.enable()
    assert (counts.open, counts.closes.total()) == (0, 1)
    assert not frames._full_at


async def test_numbers(live: LiveSockets) -> None:
    connection = Connection(live)
    connection.send(text("x"), frame(PING), text("a", fin=False), frame(0, b"b"))
    connection.socket.write(b"\x81\x00")
    await write_paced(connection.socket, b"\x81\x00")
    connection.socket.write_passing(b"\x81\x00")
    Connection(live).send(close(3456))
    Connection(live).send(close(1011))
    counts = live.counts
    assert (counts.open, counts.received, counts.written, counts.dropped) == (1, 6, 4, 0)
    assert counts.closes == {"client": 2}


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    fields = ("code", "reason", "client", "user", "session", "path", "method")
    return [
        {"level": record.levelname, **{name: getattr(record, name, None) for name in fields}}
        for record in caplog.records
        if record.name == "chat4all.access"
    ]


async def test_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    live, clients = live_sockets()
    scope = request((b"authorization", f"Bearer {SECRET}".encode()))
    connections = [Connection(live, scope) for _ in range(4)]
    session = Session(SessionId("s"), Username("ana"), 0)
    clients[0].credentials.scope[CALLER] = session
    connections[0].socket.close(4401, "the token has expired")
    connections[1].send(close(1001, b"words of a client"))
    connections[2].socket.close(1011, "the server failed")
    connections[3].send(text("words of a client")[:-1] + b"\xff", text(b"\xff words of a client"))
    for one in connections:
        one.transport.lose()
    found = {line["code"]: line for line in lines(caplog)}
    assert {code: line["level"] for code, line in found.items()} == {
        4401: "INFO",
        1001: "DEBUG",
        1011: "WARNING",
        1007: "INFO",
    }
    assert found[4401] == {
        "level": "INFO",
        "code": 4401,
        "reason": "the token has expired",
        "client": "192.0.2.1",
        "user": "ana",
        "session": "s",
        "path": "/v1/live",
        "method": "GET",
    }
    assert SECRET not in caplog.text
    assert "words of a client" not in caplog.text


async def test_a_client_that_closes_as_if_we_had_failed_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    live, _ = live_sockets()
    connection = Connection(live)
    connection.send(close(1011))
    connection.transport.lose()
    assert [(line["level"], line["code"]) for line in lines(caplog)] == [("DEBUG", 1011)]


async def test_a_crowd_that_is_refused_is_logged_within_limits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    live, _ = live_sockets()
    live._access_log = AccessLog(clock=Clock())  # on a slow machine time would make room for more
    for _ in range(300):
        connection = Connection(live)
        connection.send(frame(BINARY))
        connection.transport.lose()
    assert 200 <= len(lines(caplog)) < 250
