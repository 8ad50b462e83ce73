"""Presence of many: how much of it is done in one turn of the event loop."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from chat4all.domain.events import LiveEvent
from chat4all.gateway.live import presence, turns
from tests.live.presence_world import CHAT, Device, World

pytestmark = pytest.mark.anyio

SLICE = 5
NAMES = [f"user-{number}" for number in range(8)]
WATCHERS = 12


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SLICE", SLICE)


@contextmanager
def counted(on: object, method: str) -> Iterator[Counter[int]]:
    """Count the calls of a method by the turn of the event loop in which they are made."""
    loop = asyncio.get_running_loop()
    calls: Counter[int] = Counter()
    turn = 0
    ended = False
    original: Callable[..., Any] = getattr(on, method)

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if not ended:
            loop.call_soon(next_turn)

    def call(*arguments: Any) -> Any:
        calls[turn] += 1
        return original(*arguments)

    loop.call_soon(next_turn)
    with patch.object(on, method, call):
        yield calls
    ended = True


async def watchers_of(world: World) -> list[Device]:
    here = world.gateways[0]
    devices = [here.connect("ana") for _ in range(WATCHERS)]
    for device in devices:
        here.watch(device, *NAMES)
    await world.settle()
    return devices


async def test_a_record_of_many_names_is_handed_to_few_watchers_in_one_turn(world: World) -> None:
    here, there = world.gateways
    for name in NAMES:
        world.add(name)
    devices = await watchers_of(world)
    await world.pass_time(3)
    assert {len(device.told) for device in devices} == {len(NAMES)}
    with counted(here.watching._work, "mark") as marked:
        for name in NAMES:
            there.connect(name)
        await world.settle()
    assert sum(marked.values()) >= len(NAMES) * WATCHERS
    assert max(marked.values()) <= SLICE
    for device in devices:
        assert sorted(device.told[len(NAMES) :]) == [(name, "online") for name in NAMES]


async def test_a_change_of_members_reaches_few_watchers_in_one_turn(world: World) -> None:
    here, there = world.gateways
    devices = await watchers_of(world)
    for name in NAMES:
        there.connect(name)
        world.add(name)
    with counted(here.watching, "_let") as let:
        here.members_changed(CHAT)
        await world.settle()
    assert sum(let.values()) == len(NAMES) * WATCHERS
    assert max(let.values()) <= SLICE
    for device in devices:
        assert sorted(device.told) == [(name, "online") for name in NAMES]


async def test_after_a_loss_few_watchers_are_looked_at_in_one_turn(world: World) -> None:
    here, _ = world.gateways
    await watchers_of(world)
    with counted(here.watching._work, "mark") as marked:
        here.watching.all_changed()
        await world.settle()
    assert sum(marked.values()) == WATCHERS
    assert max(marked.values()) <= SLICE


async def test_few_events_are_announced_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "NAMES_MAX", 1)
    here, there = world.gateways
    announce = world.feed.announce
    sizes = []

    async def announce_counted(events: Sequence[LiveEvent]) -> None:
        sizes.append(len(events))
        await announce(events)

    for name in NAMES:
        world.add(name)
        there.connect(name)
    with patch.object(world.feed, "announce", announce_counted):
        device = here.connect("ana")
        here.watch(device, *NAMES)
        await world.settle()
        await world.pass_time(presence.ROUND_SECONDS)
    assert max(sizes) == presence.EVENTS_MAX < len(NAMES)
    assert sorted(device.told) == [(name, "online") for name in NAMES]
