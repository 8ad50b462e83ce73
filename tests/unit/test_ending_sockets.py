"""Sockets are told in small steps that the server ends, also by a process that stood still."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from chat4all.http.server import upgrading
from chat4all.http.server.upgrading import UpgradedConnections, UpgradedProtocol
from tests.live.memory import Transport

pytestmark = pytest.mark.anyio

SOCKETS = 1_000
SECONDS = 5.0
PLANNED = SOCKETS * upgrading.POLL_SECONDS / (SECONDS * upgrading.TELLING_SHARE)
"""Sockets in each step."""


class Socket(UpgradedProtocol):
    """Closes as soon as it is told."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        transport = Transport()
        transport.protocol = self
        self.transport = cast("asyncio.Transport", transport)

    def shutdown(self) -> None:
        self._told()
        self.transport.close()


async def steps(monkeypatch: pytest.MonkeyPatch, standstill: float, after: int) -> list[int]:
    """Return how many are told in each step if the process stands still for so many seconds, once
    when so many have been told."""
    now = 0.0
    told = [0]

    def tell() -> None:
        nonlocal now
        told[-1] += 1
        if sum(told) == after:
            now += standstill

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        told.append(0)

    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    monkeypatch.setattr(upgrading.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    connections = UpgradedConnections()
    for _ in range(SOCKETS):
        socket = Socket(tell)
        connections.add(socket, socket.transport)
    await connections.end(SECONDS)
    assert sum(told) == SOCKETS
    assert now < SECONDS
    return told


@pytest.mark.parametrize("standstill", [0.0, 1.0, 2.0])
async def test_no_step_tells_more_than_twice_what_was_planned(
    monkeypatch: pytest.MonkeyPatch, standstill: float
) -> None:
    assert max(await steps(monkeypatch, standstill, after=5)) <= 2 * PLANNED + 1


async def test_all_are_told_before_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    told = await steps(monkeypatch, 4.5, after=5)
    assert max(told) > SOCKETS / 2
