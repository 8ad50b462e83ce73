"""Requests, streams and other protocols through Caddy and nginx, set up as `deploy/` shows."""

import http.client
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.deploy.proxies import NAME, Proxy, caddy, nginx
from tests.deploy.upstream import FIRST, SECOND, Upstream, read_until, upstream
from tests.faults.running import CHAT, Running, until

pytestmark = pytest.mark.slow

Starts = Callable[[Path, int], AbstractContextManager[Proxy]]


@pytest.fixture(scope="module", params=[caddy, nginx], ids=["caddy", "nginx"])
def starts(request: pytest.FixtureRequest) -> Starts:
    found: Starts = request.param
    return found


@pytest.fixture(scope="module")
def product(starts: Starts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Chat4All itself behind the proxy."""
    trusting = ["env", "CHAT4ALL_TRUSTED_PROXIES=127.0.0.1", sys.executable, "-m"]
    command = [*trusting, "tests.live.product"]
    running = Running(tmp_path_factory.mktemp("product"), command=command).start()
    try:
        with starts(tmp_path_factory.mktemp("proxy"), running.port) as proxy:
            yield proxy
    finally:
        running.kill()


@pytest.fixture
def led(starts: Starts, tmp_path: Path) -> Iterator[tuple[Proxy, Upstream]]:
    """A server that the test leads behind the proxy."""
    with upstream() as server, starts(tmp_path, server.port) as proxy:
        yield proxy, server


class Answer:
    """One answer, read to its end."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()


def ask(
    proxy: Proxy, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPSConnection(NAME, proxy.port, timeout=10, context=proxy.context)
    try:
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def test_messages_are_sent_and_read(product: Proxy) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    signed_in = ask(product, "POST", "/token", "username=bruno&password=test", form)
    assert signed_in.status == 200
    token = json.loads(signed_in.body)["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    texts = [f"{number} {uuid.uuid4()}" for number in range(20)]
    for text in texts:
        body = json.dumps({"chat_id": CHAT, "content": text})
        assert ask(product, "POST", "/v1/messages", body, headers).status == 202

    def page() -> list[str]:
        path = f"/v1/conversations/{CHAT}/messages?limit=20"
        return [one["content"] for one in json.loads(ask(product, "GET", path, None, headers).body)]

    until(lambda: page() == texts)


def test_what_is_for_inside_is_not_found_outside(product: Proxy) -> None:
    for path in ("/metrics", "/health/ready", "/internal/questions", "/internal/"):
        assert ask(product, "GET", path).status == 404, path
    assert ask(product, "GET", "/health").status == 200


def test_the_service_knows_that_it_was_asked_over_https(product: Proxy) -> None:
    assert "max-age" in ask(product, "GET", "/health").headers["Strict-Transport-Security"]


def test_problems_come_through_as_they_are(product: Proxy) -> None:
    refused = ask(product, "GET", f"/v1/conversations/{CHAT}/messages")
    assert refused.status == 401
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert json.loads(refused.body)["type"] == "/problems/not-signed-in"


def test_a_page_of_the_site_has_a_socket(product: Proxy) -> None:
    address = f"wss://{NAME}:{product.port}/v1/live"
    options: dict[str, Any] = {"ssl": product.context, "open_timeout": 10, "proxy": None}
    with connect(address, **options | {"origin": product.url}) as one:
        one.send("x" * 60_000)
        assert one.recv(10) == "x" * 60_000
    with pytest.raises(InvalidStatus) as refused:
        connect(address, **options | {"origin": "https://evil.example"})
    assert refused.value.response.status_code == 403


def test_the_address_that_the_proxy_sees_comes_last(led: tuple[Proxy, Upstream]) -> None:
    proxy, _ = led
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "gopher"}
    seen = json.loads(ask(proxy, "GET", "/headers", None, forged).body)
    assert seen["x-forwarded-for"].split(", ")[-1] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["host"].startswith(NAME)


def test_a_stream_arrives_piece_by_piece(led: tuple[Proxy, Upstream]) -> None:
    proxy, server = led
    with proxy.connect() as connection:
        connection.sendall(f"GET /stream HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        assert SECOND not in read_until(connection, FIRST)
        server.go_on.set()
        read_until(connection, SECOND)


def test_a_client_that_asks_for_another_protocol_gets_it(led: tuple[Proxy, Upstream]) -> None:
    proxy, _ = led
    with proxy.connect() as connection:
        asked = f"GET /live HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\n"
        asked += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        asked += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        connection.sendall(asked.encode())
        assert b" 101 " in read_until(connection, b"\r\n\r\n")
        for piece in (b"one", b"two"):
            connection.sendall(piece)
            read_until(connection, piece.upper())
