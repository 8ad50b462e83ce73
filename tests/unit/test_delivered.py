"""Delivered markers are appended in bulk: bounded by conversation and second, and never twice."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from chat4all.domain.errors import Overloaded
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.records import DeliveredRecord, Headers
from chat4all.usecases import delivered
from chat4all.usecases.delivered import AT_ONCE, REST_SECONDS, Delivered
from chat4all.wire.records import DELIVERED_MAX, decode_record
from tests.clocks import Clock
from tests.records import CHATS

pytestmark = pytest.mark.anyio

ANA, BRUNO = Username("ana"), Username("bruno")


class World:
    """A log that a store follows at once."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.records: list[DeliveredRecord] = []
        self.stored: dict[ConversationId, dict[Username, int]] = {}
        self.fails = False
        self.failing: set[ConversationId] = set()
        self.before_answer: Callable[[], None] | None = None
        self.asked = self.requests = 0
        either: Any = self
        self.delivered = Delivered(either, either, self.clock)

    async def append(self, key: ConversationId, value: bytes, _: Headers = ()) -> None:
        if self.fails or key in self.failing:
            raise Overloaded("the log does not answer")
        found = decode_record(value)
        assert isinstance(found, DeliveredRecord)
        assert found.conversation_id == key
        self.records.append(found)
        self.stored.setdefault(key, {}).update(found.delivered)

    async def delivered_to(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        self.asked += len(readers)
        self.requests += 1
        if self.before_answer is not None:
            self.before_answer()
        return {
            one: {name: self.stored[one][name] for name in names if name in self.stored[one]}
            for one, names in readers.items()
            if one in self.stored
        }

    async def next_second(self) -> None:
        self.clock.now += REST_SECONDS
        await self.delivered.append()


async def test_what_came_together_is_one_record_and_is_not_appended_again() -> None:
    world = World()
    for seq in (1, 3, 2):
        world.delivered.note(CHATS[0], ANA, seq)
    world.delivered.note(CHATS[0], BRUNO, 3)
    world.delivered.note(CHATS[1], ANA, 7)
    await world.delivered.append()
    assert world.records == [
        DeliveredRecord(CHATS[0], {ANA: 3, BRUNO: 3}),
        DeliveredRecord(CHATS[1], {ANA: 7}),
    ]
    for seq in (1, 3):
        world.delivered.note(CHATS[0], ANA, seq)
    await world.next_second()
    assert (len(world.records), world.asked) == (2, 2)


async def test_a_conversation_has_one_record_a_second_whatever_is_delivered() -> None:
    world = World()
    for seq in range(1, 101):
        world.delivered.note(CHATS[0], ANA, seq)
        await world.delivered.append()
    assert world.records == [DeliveredRecord(CHATS[0], {ANA: 1})]
    await world.next_second()
    assert world.records[1:] == [DeliveredRecord(CHATS[0], {ANA: 100})]


async def test_a_message_to_a_thousand_members_is_ten_records_in_ten_seconds() -> None:
    world = World()
    names = [Username(f"user-{number}") for number in range(1_000)]
    for name in names:
        world.delivered.note(CHATS[0], name, 1)
    for second in range(1, 12):
        await world.next_second()
        for name in names[:500]:  # a busy group: more comes, and displaces nobody
            world.delivered.note(CHATS[0], name, second + 1)
        assert len(world.records) == second
        assert len(world.records[-1].delivered) == DELIVERED_MAX
    assert set(world.stored[CHATS[0]]) == set(names)


async def test_many_conversations_take_turns() -> None:
    world = World()
    chats = [ConversationId(f"00000000-0000-0000-0000-{n:012}") for n in range(AT_ONCE + 1)]
    for chat in chats:
        world.delivered.note(chat, ANA, 1)
    await world.delivered.append()
    assert len(world.records) == AT_ONCE
    await world.delivered.append()
    assert world.stored.keys() == set(chats)


async def test_what_the_store_has_is_no_record() -> None:
    world = World()
    world.stored[CHATS[0]] = {ANA: 5}
    world.delivered.note(CHATS[0], ANA, 5)
    world.delivered.note(CHATS[0], BRUNO, 5)
    await world.delivered.append()
    assert world.records == [DeliveredRecord(CHATS[0], {BRUNO: 5})]


async def test_what_could_not_be_appended_is_appended_later() -> None:
    world = World()
    world.fails = True
    world.delivered.note(CHATS[0], ANA, 5)
    with pytest.raises(Overloaded):
        await world.delivered.append()
    world.fails = False
    world.delivered.note(CHATS[0], ANA, 4)
    await world.next_second()
    assert world.records == [DeliveredRecord(CHATS[0], {ANA: 5})]


async def test_a_log_that_is_unavailable_costs_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivered, "NOTED_MAX", 3)
    world = World()
    world.fails = True
    for number in range(10):
        world.delivered.note(CHATS[0], Username(f"user-{number}"), 1)
        world.delivered.note(CHATS[1], Username(f"user-{number}"), 1)
    with pytest.raises(Overloaded):
        await world.delivered.append()
    world.delivered.note(CHATS[2], ANA, 1)
    world.fails = False
    await world.next_second()
    assert sum(len(one.delivered) for one in world.records) == 3
    world.delivered.note(CHATS[2], ANA, 1)
    await world.next_second()
    assert world.stored[CHATS[2]] == {ANA: 1}


async def test_what_is_in_the_log_is_not_appended_again_because_of_another_one() -> None:
    """Fails when one partition without a leader has all others written again every second."""
    world = World()
    world.failing = {CHATS[1]}
    for chat in CHATS[:2]:
        world.delivered.note(chat, ANA, 5)
    for _ in range(3):
        with pytest.raises(Overloaded):
            await world.next_second()
        world.stored.clear()  # no router is there to store it
    assert world.records == [DeliveredRecord(CHATS[0], {ANA: 5})]
    world.failing = set()
    await world.next_second()
    assert world.records[1:] == [DeliveredRecord(CHATS[1], {ANA: 5})]


async def test_nothing_is_asked_when_nothing_is_due() -> None:
    world = World()
    await world.delivered.append()
    world.delivered.note(CHATS[0], ANA, 1)
    await world.delivered.append()
    world.delivered.note(CHATS[0], ANA, 2)
    await world.delivered.append()
    assert world.requests == 1


@pytest.mark.parametrize("is_under_way", [False, True])
async def test_numbers_of_another_generation_move_nothing(is_under_way: bool) -> None:
    world = World()
    world.delivered.note(CHATS[0], ANA, 60)
    await world.delivered.append()
    world.records.clear()
    world.stored.clear()
    world.delivered.note(CHATS[0], BRUNO, 60)
    if is_under_way:
        world.before_answer = world.delivered.forget
    else:
        world.delivered.forget()
    await world.next_second()
    await world.next_second()
    assert world.records == []
    world.before_answer = None
    for name in (ANA, BRUNO):
        world.delivered.note(CHATS[0], name, 3)
    await world.next_second()
    assert world.records == [DeliveredRecord(CHATS[0], {ANA: 3, BRUNO: 3})]
