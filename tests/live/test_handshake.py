"""Requests for a socket: which are refused, who asks, and what is answered."""

from typing import Any

import pytest

from chat4all.gateway.live.sockets import LiveSockets
from chat4all.http.edge import Edge, behind_proxies
from tests.live.frames import CLOSE, TEXT, text
from tests.live.memory import KEY, SIGNED_IN, Connection, live_sockets, request

pytestmark = pytest.mark.anyio


def changed(name: bytes, *values: bytes) -> dict[str, Any]:
    """Return a request with these values of a header in place of its own."""
    scope = request(SIGNED_IN)
    others = [header for header in scope["headers"] if header[0] != name]
    scope["headers"] = [*others, *((name, value) for value in values)]
    return scope


async def test_the_answer() -> None:
    live, _ = live_sockets()
    scope = request((b"sec-websocket-protocol", b"chat4all.v1, bearer.secret"))
    assert Connection(live, scope).response.split(b"\r\n") == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"Sec-WebSocket-Protocol: chat4all.v1",
    ]
    assert b"Protocol" not in Connection(live).response.partition(b"\r\n")[2]


async def test_no_compression_is_agreed_on() -> None:
    live, _ = live_sockets()
    offer = (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits")
    connection = Connection(live, request(offer))
    assert b"xtensions" not in connection.response
    connection.send(b"\xc1" + text("x")[1:])  # compressed nevertheless
    assert connection.closed_with() == 1002


PROTOCOL = b"sec-websocket-protocol"


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([(b"authorization", b"Bearer one")], "one"),
        ([(b"authorization", b"bearer  one ")], "one"),
        ([(PROTOCOL, b"chat4all.v1,bearer.a-b_c.d.e")], "a-b_c.d.e"),
        ([(PROTOCOL, b"bearer.two"), (PROTOCOL, b"chat4all.v1")], "two"),
        ([(b"authorization", b"Bearer one"), (PROTOCOL, b"chat4all.v1, bearer.two")], "one"),
        ([(b"authorization", b"Basic xyz"), (PROTOCOL, b"chat4all.v1, bearer.two")], "two"),
        ([(PROTOCOL, b"chat4all.v1, bearer.")], None),
        ([(b"authorization", b"Bearer ")], None),
        ([(PROTOCOL, b"chat4all.v1")], None),
        ([], None),
    ],
)
async def test_where_a_token_may_be(headers: list[tuple[bytes, bytes]], token: str | None) -> None:
    live, clients = live_sockets()
    connection = Connection(live, request(*headers))
    assert b"bearer" not in connection.response.lower()
    credentials = clients[0].credentials
    assert (credentials.token, credentials.client) == (token, "192.0.2.1")
    assert credentials.scope["headers"] == []
    assert str(token) == "None" or f"{token!r}" not in repr(credentials)


async def test_without_a_token_the_first_message_must_come_within_10_seconds() -> None:
    live, _ = live_sockets()
    silent, quick, signed_in = (
        Connection(live, request()),
        Connection(live, request()),
        Connection(live),
    )
    quick.send(text("{}"))
    for one in (silent, quick, signed_in):
        one.send(b"\x89\x80    ")  # a ping is no message
        one.got()
        one.pass_time(9.5)
        assert one.socket.is_open
        one.pass_time(1)
    assert silent.closed_with() == 4401
    assert quick.socket.is_open
    assert signed_in.socket.is_open


@pytest.mark.parametrize(
    "scope",
    [
        changed(b"upgrade", b"h2c"),
        changed(b"sec-websocket-version"),
        changed(b"sec-websocket-version", b"8"),
        changed(b"sec-websocket-version", b"13", b"8"),
        changed(b"sec-websocket-key"),
        changed(b"sec-websocket-key", b""),
        changed(b"sec-websocket-key", b"dG9vIHNob3J0"),
        changed(b"sec-websocket-key", KEY + b"\xff"),
        changed(b"sec-websocket-key", KEY, KEY),
        changed(PROTOCOL, b"chat"),
        changed(PROTOCOL, b"bearer.token"),
        changed(b"origin", b"https://evil.example"),
        {**request(SIGNED_IN), "method": "POST"},
        request(SIGNED_IN, path="/v1/live/"),
    ],
)
async def test_what_is_no_handshake_of_ours_stays_http(scope: dict[str, Any]) -> None:
    live, clients = live_sockets()
    assert live.upgrade(scope) is None
    assert clients == []


@pytest.mark.parametrize(
    "scope", [changed(b"upgrade", b"h2c, WebSocket"), changed(b"upgrade", b"h2c", b"websocket")]
)
async def test_what_is_one(scope: dict[str, Any]) -> None:
    live, _ = live_sockets()
    assert Connection(live, scope).socket.is_open


@pytest.mark.parametrize(
    ("origin", "host", "is_allowed"),
    [
        (b"http://chat.example", b"chat.example", True),
        (b"https://chat.example", b"CHAT.example", True),
        (b"https://chat.example", b"chat.example:443", True),
        (b"http://chat.example", b"chat.example:80", True),
        (b"https://chat.example:8443", b"chat.example:8443", True),
        (b"http://[::1]:8000", b"[::1]:8000", True),
        (b"https://app.example", b"chat.example", True),
        (b"https://app.example:8443", b"chat.example", False),
        (b"http://app.example", b"chat.example", False),
        (b"https://chat.example:8443", b"chat.example", False),
        (b"https://chat.example.evil", b"chat.example", False),
        (b"https://evil.example/chat.example", b"chat.example", False),
        (b"null", b"chat.example", False),
        (b"", b"chat.example", False),
        (b"file://", b"", False),
        (b"http://[chat.example", b"chat.example", False),
    ],
)
async def test_origins(origin: bytes, host: bytes, is_allowed: bool) -> None:
    live, _ = live_sockets(origins=["https://app.example"])
    scope = changed(b"origin", origin)
    scope["headers"] = [h for h in scope["headers"] if h[0] != b"host"] + [(b"host", host)]
    assert (live.upgrade(scope) is not None) is is_allowed
    assert live_sockets(origins=["*"])[0].upgrade(scope) is not None


async def test_two_origins() -> None:
    own = b"http://chat.example"
    assert live_sockets()[0].upgrade(changed(b"origin", own, own)) is None


async def test_a_trusted_proxy_says_who_asks() -> None:
    for trusted, client in ((["192.0.2.1"], "198.51.100.7"), ([], "192.0.2.1")):
        put = behind_proxies(Edge(trusted_proxies=trusted))
        live, clients = live_sockets(put_client=put)
        Connection(live, request((b"x-forwarded-for", b"203.0.113.1, 198.51.100.7")))
        assert clients[0].credentials.client == client


# How many


def is_refused(connection: Connection) -> bool:
    """Say whether a socket was closed as one too many; it must say when to come again."""
    got = connection.got()
    if not got:
        return False
    error, last = got
    assert error.opcode == TEXT
    assert b'"retry_after":' in error.payload
    assert (last.opcode, last.code) == (CLOSE, 1013)
    return True


async def test_those_over_the_limit_are_told_and_no_other_is_closed() -> None:
    live, clients = live_sockets(sockets_max=8)
    addresses = [f"192.0.2.{n}" for n in range(10)]
    found = [Connection(live, request(address=one)) for one in addresses]
    assert [is_refused(one) for one in found] == [False] * 8 + [True] * 2
    assert len(clients) == 8
    assert live.upgrade(request(address="192.0.2.99")) is None
    found[9].transport.lose()
    assert is_refused(Connection(live, request(address="192.0.2.99")))
    for one in found[:3]:
        one.transport.lose()
    assert not is_refused(Connection(live, request(address="192.0.2.99")))


async def test_one_address_has_half_of_all() -> None:
    live, _ = live_sockets(sockets_max=8)
    found = [Connection(live) for _ in range(5)]
    assert [is_refused(one) for one in found] == [False] * 4 + [True]
    other = Connection(live, request(address="198.51.100.1"))
    assert not is_refused(other)
    other.transport.lose()
    for one in found:
        one.transport.lose()
    assert not is_refused(Connection(live))
    assert dict(live._by_address) == {"192.0.2.1": 1}


def failing(*_: object) -> Any:
    raise ZeroDivisionError


async def test_a_client_that_cannot_be_made(caplog: pytest.LogCaptureFixture) -> None:
    live = LiveSockets(failing)
    connection = Connection(live)
    assert connection.closed_with() == 1011
    connection.transport.lose()
    assert live.counts.open == 0
    assert any(record.exc_info for record in caplog.records)


async def test_a_client_that_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, clients = live_sockets()
    connection = Connection(live)
    monkeypatch.setattr(clients[0], "received", failing)
    connection.send(text("secret words"), text("more"))
    assert connection.closed_with() == 1011
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert "secret" not in caplog.text
