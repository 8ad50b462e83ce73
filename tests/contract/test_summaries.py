"""The contract of `ports.summaries`, on what a `SequencedStore` has written."""

import uuid
from dataclasses import replace

import pytest

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Activity, Head, Marker, Overview
from chat4all.ports.store import SequencedStore, StoreBatch
from chat4all.ports.summaries import ConversationSummaries, OverviewQuery
from tests.messages import at, batch, message
from tests.records import CHATS

pytestmark = pytest.mark.anyio


async def test_activity_is_when_the_log_took_the_newest_visible_message_of_each(
    store: SequencedStore, summaries: ConversationSummaries
) -> None:
    first, second, hidden = at(1, message(1)), at(2, message(2)), at(9, message(3))
    other = at(5, message(1, CHATS[1]))
    heads = {CHATS[0]: Head(2, second.log_position, 7_000)}
    await store.write(replace(batch(first, second), heads=heads))
    await store.write(batch(hidden, head=0))
    heads = {CHATS[1]: Head(1, other.log_position, 2**41)}
    await store.write(replace(batch(other), heads=heads))
    nowhere = ConversationId(str(uuid.uuid4()))
    found = await summaries.activity([*CHATS[:2], nowhere])
    assert found == {
        CHATS[0]: Activity(2, 7_000),
        CHATS[1]: Activity(1, 2**41),
    }
    assert await summaries.activity([]) == {}


async def test_a_replay_that_does_not_know_when_takes_nothing_back(
    store: SequencedStore, summaries: ConversationSummaries
) -> None:
    written = replace(batch(one := message(1)), heads={CHATS[0]: Head(1, one.log_position, 7_000)})
    await store.write(written)
    await store.write(replace(written, heads={CHATS[0]: Head(1, one.log_position)}))
    assert await summaries.activity(CHATS[:1]) == {CHATS[0]: Activity(1, 7_000)}
    # Nor does a later message whose time is not known.
    await store.write(batch(message(2)))
    assert await summaries.activity(CHATS[:1]) == {CHATS[0]: Activity(2, 7_000)}


async def test_an_older_head_does_not_take_the_place_back(
    store: SequencedStore, summaries: ConversationSummaries
) -> None:
    first, second = message(1), message(2)
    heads = {CHATS[0]: Head(2, second.log_position, 7_000)}
    await store.write(replace(batch(first, second), heads=heads))
    late = {CHATS[0]: Head(1, first.log_position, 9_000)}
    await store.write(replace(batch(first), heads=late))
    assert await summaries.activity(CHATS[:1]) == {CHATS[0]: Activity(2, 7_000)}


async def test_activity_of_many_conversations(
    store: SequencedStore, summaries: ConversationSummaries
) -> None:
    chats = [ConversationId(str(uuid.UUID(int=n))) for n in range(1, 60)]
    for chat in chats:
        await store.write(batch(message(1, chat)))
    found = await summaries.activity(chats)
    assert set(found) == set(chats)
    assert {one.seq for one in found.values()} == {1}


async def test_overviews_have_the_message_and_how_far_these_have_read(
    store: SequencedStore, summaries: ConversationSummaries
) -> None:
    await store.write(batch(message(1), message(2), message(3), head=2))
    await store.write(batch(message(1, CHATS[1])))
    for name, read in (("ana", 1), ("bruno", 9), ("carla", 2)):
        marker = Marker(CHATS[0], Username(name), read, read)
        await store.write(StoreBatch(through=(), markers=[marker]))
    nowhere = ConversationId(str(uuid.uuid4()))
    ana, bruno, davi = Username("ana"), Username("bruno"), Username("davi")
    found = await summaries.overviews(
        {
            CHATS[0]: OverviewQuery(2, [ana, bruno, davi]),
            CHATS[1]: OverviewQuery(1, (ana,)),
            nowhere: OverviewQuery(1, [ana]),
        }
    )
    assert found == {
        CHATS[0]: Overview(message(2), {ana: 1, bruno: 2}),
        CHATS[1]: Overview(message(1, CHATS[1]), {}),
        nowhere: Overview(None, {}),
    }
    assert await summaries.overviews({}) == {}


async def test_how_far_these_have_read_and_received_whatever_the_head(
    store: SequencedStore, summaries: ConversationSummaries
) -> None:
    ana, bruno, carla = Username("ana"), Username("bruno"), Username("carla")
    for chat, name, read in ((CHATS[0], ana, 1), (CHATS[0], bruno, 9), (CHATS[1], ana, 4)):
        await store.write(StoreBatch(through=(), markers=[Marker(chat, name, read + 1, read)]))
    # Who reads has received: nothing else needs to say so.
    await store.write(StoreBatch(through=(), markers=[Marker(CHATS[1], bruno, 0, 3)]))
    # Nor has read who has only received.
    await store.write(StoreBatch(through=(), markers=[Marker(CHATS[1], carla, 2, 0)]))
    many = [Username(f"user-{number}") for number in range(150)]
    asked = {CHATS[0]: [*many, ana, carla], CHATS[1]: [ana, bruno, carla]}
    assert await summaries.read_by(asked) == {CHATS[0]: {ana: 1}, CHATS[1]: {ana: 4, bruno: 3}}
    received = {CHATS[0]: {ana: 2}, CHATS[1]: {ana: 5, bruno: 3, carla: 2}}
    assert await summaries.delivered_to(asked) == received
    assert await summaries.read_by({}) == await summaries.delivered_to({}) == {}
