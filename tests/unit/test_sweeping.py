"""A connection that cannot be checked ends neither the sweep nor the server."""

import asyncio
from typing import cast

import pytest

from chat4all.http.server.sweeping import sweep
from chat4all.http.server.upgrading import UpgradedConnections, UpgradedProtocol
from tests.live.memory import Transport

pytestmark = pytest.mark.anyio


class Broken(UpgradedProtocol):
    """Raises when it is checked."""

    def __init__(self) -> None:
        self.checks = 0

    def shutdown(self) -> None: ...

    def check(self, now: float) -> None:
        self.checks += 1
        raise ZeroDivisionError(now)


@pytest.mark.parametrize("upgraded", [False, True])
async def test_all_are_checked_though_one_raises(
    upgraded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [Broken(), Broken()]
    if upgraded:
        connections = UpgradedConnections()
        for one in broken:
            connections.add(one, cast("asyncio.Transport", Transport()))
        await connections.sweep()
    else:
        sweep(broken, 1.0)
    assert [one.checks for one in broken] == [1, 1]
    assert [record.message for record in caplog.records] == [
        "a connection could not be checked"
    ] * 2
