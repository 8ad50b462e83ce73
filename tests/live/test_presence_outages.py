"""Who is online while questions and answers are late or lost."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import Mock, patch

import pytest

from chat4all.domain.errors import Unavailable
from chat4all.domain.events import LiveEvent
from chat4all.gateway.live import presence
from tests.live.presence_world import Gateway, World
from tests.live.sockets import until

pytestmark = pytest.mark.anyio

ONLINE, OFFLINE = ("bruno", "online"), ("bruno", "offline")


@contextmanager
def slow(gateway: Gateway) -> Iterator[asyncio.Event]:
    """Let nothing that a gateway announces be taken before the event is set."""
    feed = gateway.world.feed
    acknowledged = asyncio.Event()

    async def announce(events: Sequence[LiveEvent]) -> None:
        await acknowledged.wait()
        await feed.announce(events)

    with patch.object(gateway.presence, "_announcements", Mock(announce=announce)):
        yield acknowledged


@contextmanager
def failing(gateway: Gateway) -> Iterator[asyncio.Event]:
    """Let nothing that a gateway announces be taken, until the event is set."""
    feed = gateway.world.feed
    repaired = asyncio.Event()

    async def announce(events: Sequence[LiveEvent]) -> None:
        if not repaired.is_set():
            raise Unavailable("a leader is being elected")
        await feed.announce(events)

    with patch.object(gateway.presence, "_announcements", Mock(announce=announce)):
        yield repaired


async def tick(gateway: Gateway) -> None:
    """Let a second pass, and clients be told, whether or not an announcement is under way."""
    gateway.world.clock.now += 1
    await gateway.watching.tick()
    await until(lambda: not gateway.watching._handing and not gateway.watching._work)


async def test_a_question_that_fails_is_asked_again_and_nobody_is_offline_before(
    world: World,
) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    there.connect("bruno")
    with failing(here):
        here.watch(ana, "bruno")
        await world.pass_time(5)
    assert ana.told == []
    await world.pass_time(1)
    assert ana.told == [ONLINE]


async def test_an_answer_that_fails_is_told_again(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    here.watch(ana, "bruno")
    await world.pass_time(3)
    with failing(there):
        there.connect("bruno")
        await world.settle()
    await world.pass_time(1)
    assert ana.told == [OFFLINE, ONLINE]


async def test_answers_are_waited_for_from_when_the_question_is_acknowledged(world: World) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    there.connect("bruno")
    with slow(here) as acknowledged:
        here.watch(ana, "bruno", "carla")
        for _ in range(10):
            await tick(here)
        assert ana.told == []
        acknowledged.set()
        await world.settle()
    assert ana.told == [ONLINE]
    await world.pass_time(1)
    assert ana.told == [ONLINE, ("carla", "offline")]


async def test_after_a_loss_answers_are_waited_for_from_when_everybody_is_asked_about(
    world: World,
) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    there.leave(there.connect("bruno"))
    here.watch(ana, "bruno")
    await world.pass_time(40)
    with slow(here) as acknowledged:
        here.presence.lost()
        for _ in range(10):
            await tick(here)
        assert ana.told == [ONLINE]
        acknowledged.set()
        await world.settle()
    await world.pass_time(presence.CERTAIN_SECONDS - 1)
    assert ana.told == [ONLINE]
    await world.pass_time(1)
    assert ana.told == [ONLINE, OFFLINE]


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "hangs"])
async def test_nobody_goes_offline_while_questions_are_not_announced(
    world: World, fails: bool
) -> None:
    here, there = world.gateways
    ana = here.connect("ana")
    there.connect("bruno")
    here.watch(ana, "bruno")
    await world.pass_time(3)
    with failing(here) if fails else slow(here) as acknowledged:
        for _ in range(150):
            await tick(here)
            await there.watching.tick()
            await until(lambda: not there.presence._announcing)
        assert there.presence._asked == {}
        acknowledged.set()
        await world.settle()
    await world.pass_time(100)
    assert ana.told == [ONLINE]
