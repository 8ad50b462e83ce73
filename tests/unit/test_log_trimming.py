"""The log of one machine is trimmed by a clock that can be trusted."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chat4all.adapters.embedded import EmbeddedLog, EmbeddedStore
from chat4all.adapters.sql.steady_clock import STEADY_SECONDS
from chat4all.processes.trimming import LogTrimming
from tests.records import CHATS
from tests.unit.test_embedded import closed, opened

pytestmark = pytest.mark.anyio

DAYS = 30
DAY = 86_400.0


class Clocks:
    """The clock of the wall, and the one that nobody sets."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._wall = time.time()
        self.ahead = self.passed = 0.0
        patch.setattr(time, "time", lambda: self._wall + self.passed + self.ahead)

    def monotonic(self) -> float:
        return self.passed


@pytest.fixture
async def routed(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedLog, EmbeddedStore]]:
    """A log whose records are all in the store."""
    log, store = await opened(tmp_path)
    for n in range(3):
        await log.append(CHATS[0], b"%d" % n)

    async def stored() -> int:
        return 3

    store.stored = stored  # type: ignore[method-assign]
    yield log, store
    await closed(log, store)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


async def test_what_is_old_enough_is_trimmed(
    routed: tuple[EmbeddedLog, EmbeddedStore], clocks: Clocks
) -> None:
    log, _ = routed
    trimming = LogTrimming(*routed, DAYS, clocks.monotonic)
    await trimming.trim()
    assert await log.first() == 1
    clocks.passed = (DAYS + 1) * DAY
    await trimming.trim()
    assert await log.first() == await log.end() + 1


async def test_a_clock_that_is_ahead_for_a_moment_trims_nothing(
    routed: tuple[EmbeddedLog, EmbeddedStore], clocks: Clocks
) -> None:
    """Fails when the store can no longer be made anew from the log."""
    log, _ = routed
    trimming = LogTrimming(*routed, DAYS, clocks.monotonic)
    clocks.passed = STEADY_SECONDS
    await trimming.trim()
    for clocks.ahead in ((DAYS + 1) * DAY, 0.0):
        await trimming.trim()
        clocks.passed += STEADY_SECONDS / 2
        await trimming.trim()
    assert await log.first() == 1


async def test_nor_does_one_that_was_ahead_when_the_process_began(
    routed: tuple[EmbeddedLog, EmbeddedStore], clocks: Clocks
) -> None:
    log, _ = routed
    clocks.ahead = (DAYS + 1) * DAY
    await LogTrimming(*routed, DAYS, clocks.monotonic).trim()
    assert await log.first() == 1
