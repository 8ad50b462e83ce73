"""What clients share: who gets some, who waits, and who is told to let go."""

import asyncio
from collections.abc import Callable

import pytest

from chat4all.concurrency import room as module
from chat4all.concurrency.room import Room, Share
from chat4all.domain.errors import Overloaded

pytestmark = pytest.mark.anyio


class Holder:
    """A request that takes some, and gives it back when it is told to let go."""

    def __init__(self, room: Room[str], owner: str, size: int) -> None:
        self.was_told = asyncio.Event()
        self.has_it = asyncio.Event()
        self._of = room, owner, size
        self.share: Share[str] | None = None
        self.task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        room, owner, size = self._of
        with room.share(owner, self.was_told.set) as self.share:
            await self.share.take(size)
            self.has_it.set()
            await self.was_told.wait()

    async def end(self) -> None:
        self.was_told.set()
        await self.task


async def settled(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0)


async def held_by(room: Room[str], *owners: str, size: int = 1) -> list[Holder]:
    """Return requests that have some."""
    found = [Holder(room, owner, size) for owner in owners]
    for one in found:
        await one.has_it.wait()
    return found


async def waiting(room: Room[str], owner: str, size: int = 1) -> Holder:
    """Return a request that waits."""
    before = len(room._turns)
    found = Holder(room, owner, size)
    await settled(lambda: len(room._turns) > before)
    return found


async def test_it_is_given_in_order_and_small_ones_do_not_overtake() -> None:
    room = Room[str](8, 8, "requests")
    holders = await held_by(room, *"abcdefgh")
    large = await waiting(room, "i", 2)
    small = await waiting(room, "j")
    await holders[0].end()
    await asyncio.sleep(0)
    assert not large.has_it.is_set()
    assert not small.has_it.is_set()
    await holders[1].end()
    await large.has_it.wait()
    assert not small.has_it.is_set()
    await holders[2].end()
    await small.has_it.wait()
    for one in (*holders[3:], large, small):
        await one.end()
    assert room.held == 0


async def test_one_owner_has_a_quarter_and_keeps_nobody_else_waiting() -> None:
    room = Room[str](8, 8, "requests")
    first, second = await held_by(room, "ana", "ana")
    third = await waiting(room, "ana")
    (other,) = await held_by(room, "bruno")
    assert not third.has_it.is_set()
    await first.end()
    await third.has_it.wait()
    for one in (second, third, other):
        await one.end()


async def test_one_owner_has_a_quarter_of_the_queue() -> None:
    room = Room[str](8, 8, "requests")
    holders = await held_by(room, *"abcdefgh")
    queued = [await waiting(room, owner) for owner in ("ana", "ana")]
    refused = Holder(room, "ana", 1)
    with pytest.raises(Overloaded, match="too many requests"):
        await refused.task
    queued += [await waiting(room, owner) for owner in "opqrst"]
    refused = Holder(room, "u", 1)
    with pytest.raises(Overloaded):
        await refused.task
    for one in (*holders, *queued):
        await one.end()
    assert room.held == 0


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    room = Room[str](4, 4, "requests")
    (holder,) = await held_by(room, "ana")
    with pytest.raises(Overloaded):
        await Holder(room, "ana", 1).task
    await holder.end()
    await (await held_by(room, "ana"))[0].end()


async def test_who_does_not_wait_any_longer_holds_up_nobody() -> None:
    room = Room[str](4, 8, "requests")
    holders = await held_by(room, *"abcd")
    gone = await waiting(room, "e")
    next_one = await waiting(room, "f")
    gone.task.cancel()
    await holders[0].end()
    await next_one.has_it.wait()
    for one in (*holders[1:], next_one):
        await one.end()
    assert room.held == 0


@pytest.mark.thorough
async def test_as_many_slow_ones_let_go_as_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when slow clients keep what others wait for, and when more than enough are told."""
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    room = Room[str](4, 8, "requests")
    holders = await held_by(room, *"abcd")
    for one in holders:
        assert one.share is not None
        one.share.wait_for_client()
    assert holders[0].share is not None
    holders[0].share.work()  # it is not its client who is slow
    fifth, sixth = await held_by(room, "e", "f")
    assert [one.was_told.is_set() for one in holders] == [False, True, True, False]
    for one in (holders[0], holders[3], fifth, sixth):
        await one.end()


@pytest.mark.thorough
async def test_slow_owners_with_full_queues_keep_nobody_else_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when what waits for its own owner fills the queue, or gets what others are to have."""
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    room = Room[str](8, 8, "requests")
    holders = await held_by(room, *"aabbccdd")
    queued = [await waiting(room, owner) for owner in "aabbccdd"]
    (fifth,) = await held_by(room, "e")
    assert sum(one.was_told.is_set() for one in holders) == 1
    assert not any(one.has_it.is_set() for one in queued)
    for one in (fifth, *holders, *queued):
        await one.end()
    assert room.held == 0


@pytest.mark.thorough
async def test_nobody_lets_go_for_more_than_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    room = Room[str](8, 16, "requests")
    holders = await held_by(room, *"abcdefgh")
    queued = [Holder(room, "i", 1) for _ in range(4)]
    await settled(lambda: sum(one.has_it.is_set() for one in queued) == 2)
    room._press()  # those that still wait look again
    assert sum(one.was_told.is_set() for one in holders) == 2
    for one in (*holders, *queued):
        await one.end()


async def test_clients_have_time_before_they_are_slow() -> None:
    room = Room[str](4, 8, "requests")
    holders = await held_by(room, *"abcd")
    queued = await waiting(room, "e")
    room._press()
    assert not any(one.was_told.is_set() for one in holders)
    for one in (*holders, queued):
        await one.end()


async def test_what_was_given_back_is_not_given_back_again() -> None:
    room = Room[str](8, 8, "requests")
    with room.share("ana", lambda: None) as share:
        await share.take(2)
        share.give_back(1)
    share.give_back(1)
    assert room.held == 0
