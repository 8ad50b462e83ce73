"""Conversations that a program does not know yet: what it is told of them."""

from typing import Any

import msgspec
import pytest

from chat4all.client import Client, ConversationChanged, MessagesReloaded, Positions, reloading
from chat4all.client.following import NO_TIME, Following, MustReload, Step
from chat4all.client.frames import read_frame
from chat4all.domain.position import Position
from chat4all.wire.messages import EXAMPLE_CHAT as GROUP
from tests.api.conftest import CHAT
from tests.client.conftest import Served
from tests.client.test_events import is_connected, is_message, upto
from tests.clocks import Clock

pytestmark = pytest.mark.anyio

FIRST, SECOND, THIRD = (f"2026-01-31T12:00:0{n}.000Z" for n in range(3))


async def left_off(served: Served) -> Positions:
    """Return the positions of a program that has ended."""
    async with served.client("ana") as ana:
        events = ana.events()
        await upto(events, is_connected)
        await ana.send(CHAT, "last")
        await upto(events, is_message("last"))
        return ana.positions


async def told(served: Served, since: Positions, chat: str) -> list[MessagesReloaded]:
    """Return what is told of a conversation by the next run."""
    async with served.client("ana") as ana:
        found = await upto(ana.events(since), is_connected)
    assert ConversationChanged(chat, "added") in found
    reloads = [event for event in found if isinstance(event, MessagesReloaded)]
    return [event for event in reloads if event.conversation_id == chat]


async def numbers(client: Client, chat: str, count: int) -> None:
    for number in range(count):
        await client.send(chat, str(number))


async def test_everything_that_somebody_wrote_in_private_meanwhile_is_new(
    served: Served, bruno: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much it is: a bot that was off for a night answers all of it."""
    monkeypatch.setattr(reloading, "PAGE_MAX", 2)
    since = await left_off(served)
    private = (await bruno.create_private("ana")).conversation_id
    await numbers(bruno, private, 5)
    await served.api.routed()
    events = await told(served, since, private)
    new = [message.content for event in events for message in event.new_messages]
    assert new == ["0", "1", "2", "3", "4"]
    assert not any(event.has_older for event in events)


async def test_of_a_group_the_newest_page_is_told_and_where_to_read_on(
    served: Served, ana: Client, bruno: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "PAGE_MAX", 2)
    since = await left_off(served)
    group = (await bruno.create_group("Old")).conversation_id
    await numbers(bruno, group, 5)
    await served.api.routed()
    await bruno.add_member(group, "ana")
    (event,) = await told(served, since, group)
    assert [message.content for message in event.messages] == ["3", "4"]
    assert (event.new_messages, event.has_older) == ((), True)
    older = [page async for page in ana.history(group, before=event.messages[0].seq)]
    assert [message.content for page in older for message in page] == ["0", "1", "2"]


async def test_a_page_that_has_all_says_so(served: Served, bruno: Client) -> None:
    since = await left_off(served)
    group = (await bruno.create_group("Old", ["ana"])).conversation_id
    await numbers(bruno, group, 1)
    await served.api.routed()
    (event,) = await told(served, since, group)
    assert (len(event.messages), event.has_older) == (1, False)


async def test_a_group_that_is_created_while_the_program_runs_is_new(
    served: Served, ana: Client, bruno: Client
) -> None:
    """Its first message may be stored before the program is told that it is in it."""
    await upto(ana.events(), is_connected)
    group = (await bruno.create_group("New", ["ana"])).conversation_id
    await numbers(bruno, group, 2)
    await served.api.routed()
    found = await upto(ana.events(), is_connected)
    assert [one.content for event in found for one in event.new_messages] == ["0", "1"]


async def test_after_positions_that_were_not_of_everything_nothing_is_new(
    served: Served, bruno: Client
) -> None:
    """A run that died before it was told of every conversation has no generation."""
    private = (await bruno.create_private("ana")).conversation_id
    await numbers(bruno, private, 1)
    await served.api.routed()
    (event,) = await told(served, {"positions": {}, "generation": None}, private)
    assert (len(event.messages), event.new_messages) == (1, ())


# What may be new, without a server.


def following(generation: str | None, told_all_at: str | None) -> Following:
    return Following({}, generation, False, told_all_at)


def told_of(one: Following, event: str) -> Step | MustReload:
    fields = {"type": "conversation", "conversation_id": GROUP, "event": event, "position": "3.0"}
    frame: Any = read_frame(msgspec.json.encode(fields))
    *_, last = one.steps(frame)
    if isinstance(last, Step):
        one.commit(last)
    return last


def may_be_new_since(one: Following) -> str | None:
    must = told_of(one, "added")
    assert isinstance(must, MustReload)
    assert (must.position, must.known) == (Position(3, 0), None)
    return must.told_all_at


def test_what_is_new_is_what_came_after_the_last_whole_resume() -> None:
    one = following("g", NO_TIME)
    one.connect("ana", "g", FIRST)
    assert may_be_new_since(one) == NO_TIME
    assert [step.told_all_at for step in one.resumed({})] == [FIRST]
    assert may_be_new_since(one) == FIRST
    one.connect("ana", "g", SECOND)
    assert may_be_new_since(one) == FIRST
    assert [step.told_all_at for step in one.resumed({})] == [SECOND]


@pytest.mark.parametrize("before", [None, "another"])
def test_in_another_generation_nothing_is_new_until_everything_was_told(before: str | None) -> None:
    one = following(before, before and NO_TIME)
    one.connect("ana", "g", FIRST)
    assert may_be_new_since(one) is None
    one.connect("ana", "g", SECOND)  # the connection was lost meanwhile
    assert may_be_new_since(one) is None
    assert [step.told_all_at for step in one.resumed({})] == [SECOND]


def test_what_was_left_is_not_new_when_one_is_added_again() -> None:
    one = following("g", FIRST)
    told_of(one, "removed")
    assert may_be_new_since(one) is None
    one.connect("ana", "g", THIRD)
    assert [step.told_all_at for step in one.resumed({})] == [THIRD]
    assert may_be_new_since(one) == THIRD


def test_a_clock_of_the_server_that_was_ahead_makes_nothing_old() -> None:
    """What was made after it was set right is new, although it seems older than the connection."""
    one = following("g", None)
    one.clock = clock = Clock()
    one.connect("ana", "g", "2026-01-31T14:00:00.000Z")
    assert [step.told_all_at for step in one.resumed({})] == ["2026-01-31T14:00:00.000Z"]
    clock.now += 600
    one.connect("ana", "g", "2026-01-31T12:10:00.000Z")
    assert may_be_new_since(one) == "2026-01-31T12:00:00.000Z"
    clock.now += 600
    one.connect("ana", "g", "2026-01-31T12:20:00.000Z")  # the connection was lost meanwhile
    assert may_be_new_since(one) == "2026-01-31T12:00:00.000Z"
    assert [step.told_all_at for step in one.resumed({})] == ["2026-01-31T12:20:00.000Z"]
    one.connect("ana", "g", "in a while")
    assert may_be_new_since(one) == "2026-01-31T12:20:00.000Z"
