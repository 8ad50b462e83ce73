"""The table of fast routes: which one answers, and which requests go to the application."""

from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from chat4all.http.fast_routes import FastRoute, FastRoutes
from chat4all.http.route_limits import DEFAULT_LIMITS, RouteLimits, limits_of

pytestmark = pytest.mark.anyio

OTHER = RouteLimits(body=1)


def answering(name: str, *, declines: bool = False) -> Any:
    """Return an endpoint that says its name, its route and the bytes that a body may have."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> bool:
        if declines:
            return False
        path = getattr(scope.get("route"), "path", None)
        text = f"{name} {path} {limits_of(scope).body}"
        await PlainTextResponse(text)(scope, receive, send)
        return True

    return answer


USUAL = DEFAULT_LIMITS.body

TABLE = FastRoutes(
    [
        FastRoute("/send", "POST", answering("send"), OTHER),
        FastRoute("/list/{id}/items", "GET", answering("items"), is_shared=True),
        FastRoute("/declined/{id}", "GET", answering("", declines=True), OTHER, is_shared=True),
        FastRoute("/any/{name}", None, answering("any"), OTHER),
        FastRoute("/any/thing/declined", None, answering("", declines=True), OTHER),
    ],
    fallback=answering("application"),
)

APPLICATION = f"application None {USUAL}"


async def ask(method: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(TABLE)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("POST", "/send", "send /send 1"),
        ("POST", "/send?a=b", "send /send 1"),
        ("POST", "/send/", APPLICATION),
        ("POST", "/sen", APPLICATION),
        ("GET", "/list/7/items", f"items /list/{{id}}/items {USUAL}"),
        ("HEAD", "/list/7/items", ""),
        ("POST", "/list/7/items", APPLICATION),
        ("GET", "/list/7", APPLICATION),
        ("GET", "/list/7/items/8", APPLICATION),
        ("GET", "/declined/7", APPLICATION),
        ("GET", "/any/7", f"any None {USUAL}"),
        ("PUT", "/any/", f"any None {USUAL}"),
        ("GET", "/any/thing/declined", APPLICATION),
        ("GET", "/", APPLICATION),
    ],
)
async def test_which_route_answers(method: str, path: str, text: str) -> None:
    answer = await ask(method, path)
    assert answer.status_code == 200
    assert answer.text == text


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
async def test_other_methods_of_a_route_that_is_fast_alone(method: str) -> None:
    answer = await ask(method, "/send")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    if method != "HEAD":
        assert answer.json()["detail"] == "this route is POST only"
