"""The contract of kinds, replies and mentions: what a router writes, readers see."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from chat4all.domain.changes import Deleted, Edited
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.kinds import PREVIEW_MAX, Kind, Reply
from chat4all.domain.messages import AllRead, StoredMessage
from chat4all.ports.summaries import MentionsQuery, OverviewQuery
from chat4all.wire.messages import MessageView
from tests.contract.ports import Store
from tests.messages import batch, changed, changes, message, time_of
from tests.records import CHATS
from tests.stored import stored

pytestmark = pytest.mark.anyio

PAYLOAD: dict[str, Any] = {"lat": -1.5, "n": [2**53, None, True, 1e300], "é\0": {"🎉": '"\\'}}
ANA, BRUNO = Username("ana"), Username("bruno")


async def shown(store: Store, **bounds: int) -> list[MessageView]:
    """Return a page as readers get it; each message is the same wherever it is read."""
    page = await store.page(CHATS[0], AllRead(0, None, 0), limit=20, **bounds)
    found = await stored(store, CHATS[0], limit=20, **bounds)
    numbers = [one.seq for one in found.messages]
    assert await store.with_numbers(CHATS[0], numbers) == found.messages
    for one in found.messages[-1:]:
        overviews = await store.overviews({CHATS[0]: OverviewQuery(one.seq, [])})
        assert overviews[CHATS[0]].last == one
    views = msgspec.json.decode(page.body, type=list[MessageView])
    for view, one in zip(views, found.messages, strict=True):
        fields = ("kind", "payload", "reply_to", "mentions")
        assert [getattr(view, n) for n in fields] == [getattr(one, n) for n in fields]
    assert page.names == frozenset().union(*(one.names for one in found.messages))
    return views


async def the(store: Store, seq: int) -> StoredMessage:
    (found,) = await store.with_numbers(CHATS[0], [seq])
    return found


async def test_what_messages_have_besides_their_text_is_read_as_it_was_written(
    store: Store,
) -> None:
    written = [
        message(1),
        replace(message(2), kind=Kind.LOCATION, payload=PAYLOAD),
        replace(message(3), kind=Kind.SYSTEM, content=""),
        replace(message(4), mentions=(BRUNO, Username("a\0 'b\"🎉"))),
        replace(message(5), kind=Kind.CUSTOM, payload={}, mentions=(ANA,)),
        replace(message(6), payload={"of": "another producer"}),
        message(7),
    ]
    for _ in range(2):  # a replay changes nothing
        await store.write(batch(*written))
        assert await store.with_numbers(CHATS[0], range(1, 8)) == written
        await shown(store)


async def test_a_reply_shows_what_it_answers_as_that_is_now(store: Store) -> None:
    first = message(999, sender="ana")
    first = replace(first, content="é" * 300, kind=Kind.CUSTOM, payload={"a": 1})
    await store.write(batch(*[message(seq) for seq in range(1, 999)], first, head=999))
    replies = [replace(message(seq), reply_seq=999) for seq in (1_000, 1_001)]
    await store.write(batch(*replies))
    wanted = Reply(999, first.message_id, ANA, Kind.CUSTOM, "é" * PREVIEW_MAX, deleted=False)
    for written in (
        None,
        (changed(1, Edited("short\0 🎉"), seq=999), {"content": "short\0 🎉"}),
        (changed(2, Deleted(), seq=999), {"content": "", "deleted": True}),
        (changed(3, Edited(None), seq=999), {}),
    ):
        if written is not None:
            await store.write(changes(written[0]))
            wanted = replace(wanted, **written[1])
        for seq in (1_000, 1_001):
            assert (await the(store, seq)).reply_to == wanted
        # On a page without the message that is answered, and on one with it.
        for after in (999, 998):
            views = await shown(store, after=after)
            assert [view.reply_to for view in views][-2:] == [wanted, wanted]
        found = await store.with_id(CHATS[0], replies[0].message_id)
        assert [one.reply_to for one in found] == [wanted]


async def test_a_reply_to_what_is_not_before_it_answers_nothing(store: Store) -> None:
    """Other producers may write any number."""
    numbers = {1: 1, 2: 3, 3: 99, 4: 2_147_483_648_000, 5: 2**53, 6: 1}
    written = [replace(message(seq), reply_seq=to) for seq, to in numbers.items()]
    await store.write(batch(*written))
    answered = [view.reply_to for view in await shown(store)]
    assert answered[:5] == [None] * 5
    assert answered[5] is not None
    assert (await the(store, 6)).reply_seq == 1


async def test_a_reply_stays_within_its_conversation(store: Store) -> None:
    await store.write(batch(message(1, CHATS[1])))
    await store.write(batch(replace(message(2), reply_seq=1)))
    assert (await the(store, 2)).reply_to is None


async def test_a_deletion_takes_payload_and_mentions_and_stays(store: Store) -> None:
    one = replace(
        message(2), kind=Kind.CONTACT, payload={"name": "secret"}, reply_seq=1, mentions=(ANA,)
    )
    await store.write(batch(message(1), one))
    answered = (await the(store, 2)).reply_to
    wanted = replace(
        one, content="", payload=None, mentions=(), deleted_at=time_of(1), reply_to=answered
    )
    for _ in range(2):
        await store.write(changes(changed(1, Deleted(), seq=2)))
        await store.write(batch(one))  # a replay brings nothing back
        assert await the(store, 2) == wanted
        assert await mentions(store, ANA) == {}
        page = await store.page(CHATS[0], AllRead(0, None, 0), limit=5)
        assert b"secret" not in page.body
        assert ANA not in page.names
        await shown(store)


async def mentions(
    store: Store, username: Username, after: int = 0, through: int = 2_500
) -> dict[ConversationId, Sequence[int]]:
    query = MentionsQuery(username, after, through)
    found = await store.mentions(dict.fromkeys(CHATS[:3], query))
    return {key: list(seqs) for key, seqs in found.items()}


async def test_mentions_are_found_by_name_within_bounds(store: Store) -> None:
    def written(chat: ConversationId, seq: int, *names: Username) -> StoredMessage:
        return replace(message(seq, chat), mentions=names)

    both = [written(CHATS[0], seq, BRUNO, ANA) for seq in (5, 999, 1_000, 2_001)]
    await store.write(batch(*both, written(CHATS[0], 7, BRUNO)))
    await store.write(batch(written(CHATS[1], 1, ANA), message(2, CHATS[1])))
    assert await mentions(store, ANA) == {CHATS[0]: [5, 999, 1_000, 2_001], CHATS[1]: [1]}
    assert await mentions(store, ANA, 5, 1_000) == {CHATS[0]: [999, 1_000]}
    assert await mentions(store, ANA, 998, 1_000) == {CHATS[0]: [999, 1_000]}
    assert await mentions(store, Username("an")) == {}
    assert await store.mentions({}) == {}
