"""What every MessageStore and DeadLetters does."""

import itertools
import uuid
from dataclasses import replace

import msgspec
import pytest

from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import (
    Activity,
    AllRead,
    Head,
    Marker,
    Overview,
    Receipt,
    StoredMessage,
)
from chat4all.domain.records import DeadLetter
from chat4all.ports.history import EncodedPage
from chat4all.ports.store import IdEntry, IdKey, NumberedRow, StoreBatch
from chat4all.ports.summaries import OverviewQuery
from chat4all.wire.messages import MessageView, message_view
from tests.contract.ports import Letters, Store
from tests.records import CHATS
from tests.stored import stored

pytestmark = pytest.mark.anyio


def message(seq: int, chat: ConversationId = CHATS[0], sender: str = "bruno") -> StoredMessage:
    return StoredMessage(
        chat,
        seq,
        MessageId(str(uuid.UUID(int=seq))),
        Username(sender),
        f"text {seq} 🎉\0",
        "2026-01-31T12:00:00.000Z",
        LogPosition(0, 0, 10 * seq),
    )


def batch(*messages: StoredMessage, head: int | None = None) -> StoreBatch:
    chat = messages[0].conversation_id
    last = messages[-1]
    return StoreBatch(
        through=(last.log_position,),
        messages=messages,
        ids={
            IdKey(chat, m.message_id, m.sender_id): IdEntry(m.seq, m.log_position) for m in messages
        },
        heads={} if head == 0 else {chat: Head(head or last.seq, last.log_position)},
    )


async def test_what_is_written_is_read(store: Store) -> None:
    written = [message(1), message(2), message(3)]
    await store.write(batch(*written))
    page = await stored(store, CHATS[0], limit=10)
    assert (list(page.messages), page.head) == (written, 3)
    assert await store.read_seqs(CHATS[0]) == {}
    keys = [IdKey(CHATS[0], m.message_id, m.sender_id) for m in written]
    unknown = IdKey(CHATS[0], written[0].message_id, Username("ana"))
    assert await store.find_ids([*keys, unknown]) == {
        key: IdEntry(m.seq, m.log_position) for key, m in zip(keys, written, strict=True)
    }
    assert await store.with_id(CHATS[0], written[1].message_id) == [written[1]]
    await store.ping()


async def test_an_unknown_conversation_is_empty(store: Store) -> None:
    page = await stored(store, CHATS[0], limit=10)
    assert (list(page.messages), page.head) == ([], 0)
    assert await store.heads(CHATS) == {}
    assert await store.with_id(CHATS[0], MessageId(str(uuid.uuid4()))) == []


async def test_conversations_do_not_mix(store: Store) -> None:
    for chat in CHATS:
        await store.write(batch(message(1, chat), message(2, chat)))
    for chat in CHATS:
        page = await stored(store, chat, limit=10)
        assert {m.conversation_id for m in page.messages} == {chat}


async def test_pages_are_dense_and_never_above_the_head(store: Store) -> None:
    await store.write(batch(*[message(n) for n in range(990, 1_011)], head=1_008))

    async def seqs(**bounds: int) -> list[int]:
        return [m.seq for m in (await stored(store, CHATS[0], **bounds)).messages]

    assert await seqs(limit=3) == [1_006, 1_007, 1_008]
    assert await seqs(limit=4, before=1_002) == [998, 999, 1_000, 1_001]
    assert await seqs(limit=4, after=998) == [999, 1_000, 1_001, 1_002]
    assert await seqs(limit=4, after=1_007) == [1_008]
    assert await seqs(limit=4, after=1_008) == []
    assert await seqs(limit=4, before=2**53) == [1_005, 1_006, 1_007, 1_008]
    assert await store.with_id(CHATS[0], message(1_009).message_id) == []
    assert await store.with_id(CHATS[0], message(1_008).message_id) == [message(1_008)]


ALL_READ = [
    AllRead(0, None, 0),
    AllRead(997, Username("bruno"), 1_003),
    AllRead(1_000, Username("ana"), 1_000),
    AllRead(2_000, Username("carla"), 2_000),
]


@pytest.mark.parametrize("all_read", ALL_READ)
async def test_what_is_shown_is_the_page_with_its_statuses(store: Store, all_read: AllRead) -> None:
    difficult = "".join(map(chr, range(0x80))) + "\x7f\x85\u2028\ufeff\uffff é 🎉 ',' \\u0000 {}[]"
    written = [
        replace(message(n), sender_id=Username(sender), content=f"{n} {difficult}")
        for n, sender in zip(range(990, 1_011), itertools.cycle(["bruno", "ana", 'q"\\{']))
    ]
    await store.write(batch(*written, head=1_008))
    await store.write(batch(message(1, CHATS[1])))
    bounds: list[dict[str, int]] = [
        {"limit": 3},
        {"limit": 200},
        {"limit": 4, "before": 1_002},
        {"limit": 4, "before": 992},
        {"limit": 4, "before": 990},
        {"limit": 4, "before": 2**53},
        {"limit": 4, "before": 0},
        {"limit": 4, "after": 998},
        {"limit": 4, "after": 1_004},
        {"limit": 4, "after": 1_007},
        {"limit": 4, "after": 1_008},
        {"limit": 4, "after": 2**53},
        {"limit": 19, "after": 989},
    ]
    for bound in bounds:
        page = await stored(store, CHATS[0], **bound)
        shown = await store.page(CHATS[0], all_read, **bound)
        views = [message_view(m, all_read.status(m)) for m in page.messages]
        assert msgspec.json.decode(shown.body, type=list[MessageView], strict=True) == views, bound
        ends = (page.messages[0].seq, page.messages[-1].seq) if page.messages else (0, 0)
        assert (shown.first, shown.last) == ends, bound
        assert shown.size == len(page.messages), bound
        assert shown.senders == {m.sender_id for m in page.messages}, bound
        assert shown.more == (0 < shown.last < page.head), bound
    empty = await store.page(CHATS[2], all_read, limit=5)
    assert empty == EncodedPage(b"[]", 0, 0, more=False)


async def test_the_recovered_head_is_the_last_row_also_without_a_written_head(
    store: Store,
) -> None:
    await store.write(batch(message(1), message(2)))
    await store.write(batch(message(3), message(4), head=0))
    assert (await stored(store, CHATS[0], limit=10)).head == 2
    assert await store.heads([CHATS[0], CHATS[1]]) == {CHATS[0]: Head(4, LogPosition(0, 0, 40))}


def row_of(found: StoredMessage) -> NumberedRow:
    return NumberedRow(found.seq, found.message_id, found.sender_id)


async def test_rows_are_found_by_the_record_that_made_them(store: Store) -> None:
    await store.write(batch(*[message(n) for n in range(1, 6)]))
    await store.write(batch(message(1, CHATS[1])))
    wanted = [
        (CHATS[0], LogPosition(0, 0, 20)),
        (CHATS[0], LogPosition(0, 0, 25)),
        (CHATS[0], LogPosition(0, 0, 50)),
        (CHATS[2], LogPosition(0, 0, 10)),
    ]
    assert await store.at_positions(wanted) == {
        LogPosition(0, 0, 20): row_of(message(2)),
        LogPosition(0, 0, 50): row_of(message(5)),
    }


async def test_writing_again_changes_nothing(store: Store) -> None:
    first, second = batch(message(1), message(2)), batch(message(3))
    await store.write(first)
    await store.write(second)
    before = await stored(store, CHATS[0], limit=10)
    await store.write(first)
    assert await stored(store, CHATS[0], limit=10) == before


async def test_the_first_use_of_an_id_stays(store: Store) -> None:
    key = IdKey(CHATS[0], message(1).message_id, Username("bruno"))
    for seq in (1, 2):
        entry = IdEntry(seq, LogPosition(0, 0, seq))
        await store.write(StoreBatch(through=(), ids={key: entry}))
    assert await store.find_ids([key]) == {key: IdEntry(1, LogPosition(0, 0, 1))}


async def test_heads_and_markers_only_grow(store: Store) -> None:
    await store.write(batch(message(1), message(2), message(3)))
    await store.write(StoreBatch(through=(), heads={CHATS[0]: Head(1, LogPosition(0, 0, 10))}))
    assert (await stored(store, CHATS[0], limit=1)).head == 3
    for delivered, read in [(3, 2), (1, 3), (2, 1)]:
        marker = Marker(CHATS[0], Username("ana"), delivered, read)
        await store.write(StoreBatch(through=(), markers=[marker]))
    assert await store.read_seqs(CHATS[0]) == {"ana": 3}


async def test_a_marker_beyond_the_head_is_read_as_the_head(store: Store) -> None:
    await store.write(batch(message(1), message(2)))
    marker = Marker(CHATS[0], Username("ana"), 9, 9)
    await store.write(StoreBatch(through=(), markers=[marker]))
    assert await store.read_seqs(CHATS[0]) == {"ana": 2}


def marked(
    chat: ConversationId, delivered: int, read: int, delivered_ms: int, read_ms: int
) -> StoreBatch:
    marker = Marker(chat, Username("ana"), delivered, read, delivered_ms, read_ms)
    return StoreBatch(through=(), markers=[marker])


async def test_receipts_have_the_times_of_what_they_say_in_any_order(store: Store) -> None:
    said = [
        (1, 1, 1_000, 1_000),
        (3, 1, 2_000, 1_000),
        (3, 2, 2_000, 3_000),
        (2, 2, 2_500, 2_500),
    ]
    for order in itertools.permutations(said):
        chat = ConversationId(str(uuid.uuid4()))
        await store.write(batch(message(1, chat), message(2, chat), message(3, chat)))
        for numbers in order:
            await store.write(marked(chat, *numbers))
        # Of those who say the same number the later one counts, and none that says less.
        assert await store.receipts(chat) == {"ana": Receipt(3, 2, 2_000, 3_000)}, order


async def test_receipts_go_no_further_than_the_head(store: Store) -> None:
    await store.write(batch(message(1), message(2)))
    assert await store.receipts(CHATS[0]) == {}
    await store.write(marked(CHATS[0], 9, 7, 1_000, 2_000))
    assert await store.receipts(CHATS[0]) == {"ana": Receipt(2, 2, 1_000, 2_000)}
    assert await store.receipts(CHATS[1]) == {}


def at(second: int, one: StoredMessage) -> StoredMessage:
    return replace(one, created_at=f"2026-01-31T12:00:{second:02}.000Z")


async def test_activity_is_the_newest_visible_message_of_each(store: Store) -> None:
    first, second, hidden = at(1, message(1)), at(2, message(2)), at(9, message(3))
    other = at(5, message(1, CHATS[1]))
    heads = {CHATS[0]: Head(2, second.log_position, second.created_at)}
    await store.write(replace(batch(first, second), heads=heads))
    await store.write(batch(hidden, head=0))
    heads = {CHATS[1]: Head(1, other.log_position, other.created_at)}
    await store.write(replace(batch(other), heads=heads))
    nowhere = ConversationId(str(uuid.uuid4()))
    found = await store.activity([*CHATS[:2], nowhere])
    assert found == {
        CHATS[0]: Activity(2, second.created_at),
        CHATS[1]: Activity(1, other.created_at),
    }
    assert await store.activity([]) == {}


async def test_activity_is_known_where_the_head_has_no_time(store: Store) -> None:
    await store.write(batch(at(7, message(1))))
    assert await store.activity(CHATS[:1]) == {CHATS[0]: Activity(1, "2026-01-31T12:00:07.000Z")}


async def test_activity_of_many_conversations(store: Store) -> None:
    chats = [ConversationId(str(uuid.UUID(int=n))) for n in range(1, 60)]
    for chat in chats:
        await store.write(batch(message(1, chat)))
    found = await store.activity(chats)
    assert set(found) == set(chats)
    assert {one.seq for one in found.values()} == {1}


async def test_overviews_have_the_message_and_how_far_these_have_read(store: Store) -> None:
    await store.write(batch(message(1), message(2)))
    await store.write(batch(message(1, CHATS[1])))
    for name, read in (("ana", 1), ("bruno", 9), ("carla", 2)):
        marker = Marker(CHATS[0], Username(name), read, read)
        await store.write(StoreBatch(through=(), markers=[marker]))
    nowhere = ConversationId(str(uuid.uuid4()))
    ana, bruno, davi = Username("ana"), Username("bruno"), Username("davi")
    found = await store.overviews(
        {
            CHATS[0]: OverviewQuery(2, [ana, bruno, davi]),
            CHATS[1]: OverviewQuery(1, [ana]),
            nowhere: OverviewQuery(1, [ana]),
        }
    )
    assert found == {
        CHATS[0]: Overview(message(2), {ana: 1, bruno: 2}),
        CHATS[1]: Overview(message(1, CHATS[1]), {}),
        nowhere: Overview(None, {}),
    }
    assert await store.overviews({}) == {}


LETTERS = [
    DeadLetter(LogPosition(0, p, o), "no JSON", b"\xff\0", b"{\xff\0")
    for o, p in [(9, 1), (5, 0), (7, 0)]
]


def without_times(letter: DeadLetter) -> DeadLetter:
    return replace(letter, put_aside_ms=None, replayed_ms=None)


async def test_dead_letters_keep_their_bytes_and_order(dead_letters: Letters) -> None:
    await dead_letters.add(LETTERS)
    again = DeadLetter(LETTERS[0].log_position, "another cause", b"", b"")
    await dead_letters.add([again])
    in_order = sorted(LETTERS, key=lambda x: x.log_position)
    found = await dead_letters.all(10)
    assert [without_times(x) for x in found] == in_order
    assert all(x.put_aside_ms is not None for x in found)
    assert await dead_letters.all(2) == found[:2]
    assert await dead_letters.all(10, after=in_order[0].log_position) == found[1:]
    assert await dead_letters.get(in_order[1].log_position) == found[1]
    assert await dead_letters.get(LogPosition(0, 0, 6)) is None


async def test_a_replayed_letter_says_as_which_record(dead_letters: Letters) -> None:
    await dead_letters.add(LETTERS)
    for by in (LogPosition(0, 0, 11), LogPosition(0, 0, 12)):
        await dead_letters.replayed(LETTERS[1].log_position, by)
        found = await dead_letters.get(LETTERS[1].log_position)
        assert found is not None
        assert found.replayed_by == by
        assert found.replayed_ms is not None
    # Kept again, as a router does that was stopped after it: the mark stays.
    await dead_letters.add(LETTERS)
    assert [x.replayed_by for x in await dead_letters.all(10)] == [
        LogPosition(0, 0, 12),
        None,
        None,
    ]
