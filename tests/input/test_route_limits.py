"""The limits that a route declares hold for it, and for no other route, on a real server."""

import asyncio
import json
import time
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from chat4all.http.bodies import BodyLimit, read_body
from chat4all.http.edge import Edge, with_edge
from chat4all.http.fast_routes import FastRoute, FastRoutes
from chat4all.http.problems import install_problems, problem_response
from chat4all.http.route_limits import STALL_BYTES, RouteLimits, limited
from tests.input.servers import NoMeter, serving

pytestmark = pytest.mark.anyio

KIB = 1024
SMALL = RouteLimits(body=KIB)
LARGE = RouteLimits(body=2 * KIB * KIB)
STALLING = RouteLimits(body=2 * KIB * KIB, stall_seconds=1.5)
HASTY = RouteLimits(seconds=0.5)


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer how many bytes the body has."""
    try:
        text = str(len(await read_body(scope, receive)))
    except Exception as error:
        await problem_response(error, scope["path"])(scope, receive, send)
        return
    headers = [(b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def application() -> ASGIApp:
    app, router = FastAPI(), APIRouter()
    install_problems(app)

    @router.post("/app/small")
    @limited(SMALL)
    async def small(request: Request) -> int:
        return len(await request.body())

    @router.post("/app/{size}/large")
    @limited(LARGE)
    async def large(request: Request, size: str) -> int:
        return len(await request.body())

    @router.post("/app/hasty")
    @limited(HASTY)
    async def hasty(request: Request) -> int:
        return len(await request.body())

    @router.post("/app/usual")
    async def usual(request: Request) -> int:
        return len(await request.body())

    app.include_router(router)
    fast = [
        FastRoute("/fast/small", "POST", count, SMALL),
        FastRoute("/fast/{size}/large", "POST", count, LARGE),
        FastRoute("/fast/hasty", "POST", count, HASTY),
        FastRoute("/fast/stalling", "POST", count, STALLING),
        FastRoute("/fast/usual", "POST", count),
    ]
    served = FastRoutes(fast, BodyLimit(app, [router]))
    return with_edge(served, Edge(), NoMeter(), pages={})


class Client:
    """One connection to one path."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await asyncio.wait({asyncio.ensure_future(self._writer.wait_closed())})

    def begin(self, *headers: str) -> None:
        lines = [f"POST {self._path} HTTP/1.1", "Host: x", "Content-Type: application/json"]
        self.send("\r\n".join([*lines, *headers, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> tuple[int, Any]:
        """Return a status and its body."""
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            return int(head.split(" ")[1]), json.loads(await self._reader.readexactly(length))


async def post(port: int, path: str, size: int, *, chunked: bool) -> tuple[int, Any]:
    async with Client(port, path) as client:
        if chunked:
            client.begin("Transfer-Encoding: chunked")
            client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (size, b" " * size))
        else:
            client.begin(f"Content-Length: {size}")
            client.send(b" " * size)
        return await client.answer()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("kind", ["app", "fast"])
@pytest.mark.parametrize(
    ("route", "most"), [("small", KIB), ("x/large", 2 * KIB * KIB), ("usual", 64 * KIB)]
)
async def test_a_body_may_be_as_large_as_its_route_says(
    kind: str, route: str, most: int, chunked: bool
) -> None:
    async with serving(application()) as running:
        path = f"/{kind}/{route}"
        assert await post(running.port, path, most, chunked=chunked) == (200, most)
        status, problem = await post(running.port, path, most + 1, chunked=chunked)
        assert (status, problem["detail"]) == (
            413,
            f"the body is larger than {most // KIB} KiB",
        )


async def test_the_smallest_chunks_of_a_large_body_are_no_more_than_it() -> None:
    """Mutant: one limit for what any request may take on the wire."""
    async with serving(application()) as running, Client(running.port, "/fast/x/large") as client:
        client.begin("Transfer-Encoding: chunked")
        size = 400 * KIB  # 2.3 MiB on the wire
        client.send(b"1\r\n \r\n" * size + b"0\r\n\r\n")
        assert await client.answer() == (200, size)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["app", "fast"])
async def test_a_request_may_take_the_seconds_that_its_route_says(kind: str) -> None:
    async with (
        serving(application()) as running,
        Client(running.port, f"/{kind}/hasty") as hasty,
        Client(running.port, f"/{kind}/usual") as usual,
    ):
        started = time.monotonic()
        for client in (hasty, usual):
            client.begin("Content-Length: 2")
            client.send(b" ")
        status, problem = await hasty.answer()
        assert (status, problem["detail"]) == (
            408,
            "the request did not arrive whole within 0.5 s",
        )
        assert 0.5 <= time.monotonic() - started < 4
        usual.send(b" ")
        assert await usual.answer() == (200, 2)


@pytest.mark.thorough
async def test_a_body_that_goes_on_takes_as_long_as_it_takes() -> None:
    async with (
        serving(application()) as running,
        Client(running.port, "/fast/stalling") as steady,
        Client(running.port, "/fast/stalling") as dripping,
    ):
        pieces = 12
        for client in (steady, dripping):
            client.begin(f"Content-Length: {pieces * STALL_BYTES}")
        for _ in range(pieces):
            steady.send(b" " * STALL_BYTES)
            dripping.send(b" ")  # too little to count as going on
            await asyncio.sleep(0.25)
        assert await steady.answer() == (200, pieces * STALL_BYTES)
        status, problem = await dripping.answer()
        assert (status, problem["detail"]) == (503, "nothing arrived within 1.5 s")
