"""The event loop of the services."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from chat4all.adapters.kafka.reachability import Address, check_advertised
from chat4all.concurrency.looping import ServiceLoop
from chat4all.domain.errors import Unavailable

NOBODY = "no such host"
"""Looked up like any name, but without a network."""


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=ServiceLoop) as runner:
        runner.run(main)


def test_a_look_up_that_was_given_up_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    """uvloop by itself reports "Future exception was never retrieved" while a name is unknown."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        connecting = asyncio.create_task(loop.create_connection(asyncio.Protocol, NOBODY, 1))
        await asyncio.sleep(0)
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connecting
        del connecting
        with pytest.raises(socket.gaierror):  # by then the look-up above has ended too
            await loop.getaddrinfo(NOBODY, 1)
        await asyncio.sleep(0)
        gc.collect()

    with caplog.at_level(logging.ERROR):
        run(main())
    assert caplog.records == []


def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
            assert host == "moved"
            return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo, raising=False)
        transport, _ = await loop.create_connection(asyncio.Protocol, "moved", port)
        assert transport.get_extra_info("peername") == ("127.0.0.1", port)
        transport.close()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(asyncio.Protocol, "moved", port)

    run(main())


def test_what_is_no_name_resolves_to_nothing() -> None:
    async def main() -> None:
        with pytest.raises(Unavailable, match="resolves to nothing"):
            await check_advertised("kafka:9092", [Address("a" * 64, 9092)])

    run(main())
