"""Uploads that give way to messages: their clients are not blamed for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from chat4all.concurrency import pacing, room
from chat4all.concurrency.pacing import Pace
from chat4all.domain.files import FileId, FileState, NewUpload, Upload
from chat4all.usecases import uploading as module
from chat4all.usecases.writing_parts import MEMORY_MIN
from tests.contract.test_directory import ANA, BRUNO
from tests.uploads import Body, world_in

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that goes on while an upload sleeps, when all others look at it.

    It stands in for the modules `time` and `asyncio`.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.sleeps: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps()
        self.now += seconds
        for _ in range(20):
            await asyncio.sleep(0)

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(pacing, "time", found)
    monkeypatch.setattr(room, "time", found)
    monkeypatch.setattr(module, "asyncio", found)
    return found


async def test_a_client_that_is_held_up_is_not_slow(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails when it is told to let go for that, and when bytes wait that no memory is taken for."""
    monkeypatch.setattr(module, "MEMORY", MEMORY_MIN)
    monkeypatch.setattr(room, "OWNERS_MIN", 1)
    monkeypatch.setattr(room, "LOOK_EVERY_SECONDS", 0)
    held = list[int]()
    pace = Pace(1 / (2 * room.SLOW_SECONDS))
    async with world_in(tmp_path) as world:
        gateway = world.gateway(pace=pace)
        clock.sleeps = lambda: held.append(gateway._memory.held)
        bodies = [Body(b"a"), Body(b"d")]
        adding = list[asyncio.Task[Upload]]()
        with pace.urgent():
            for number, (owner, body) in enumerate(zip((ANA, BRUNO), bodies, strict=True)):
                file_id = FileId(f"01980f4e-9b2a-7c31-8d44-{number:012}")
                await gateway.begin(
                    NewUpload(file_id, owner, 3, "name", "text/plain", f"5b/{file_id}", "")
                )
                appending = gateway.append(owner, file_id, 0, aiter(body))
                adding.append(asyncio.create_task(appending))
                async with asyncio.timeout(30):
                    while not (gateway._memory._turns if number else held):
                        await asyncio.sleep(0)
            bodies[0].send(b"b", b"c").end()
            bodies[1].send(b"e", b"f").end()
            uploads = await asyncio.gather(*adding)
        assert [one.state for one in uploads] == [FileState.READY] * 2
    assert held == [MEMORY_MIN] * 6
