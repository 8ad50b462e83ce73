"""The contract of `ports.history`, on what a `SequencedStore` has written."""

import itertools
import uuid
from dataclasses import replace

import msgspec
import pytest

from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import AllRead, Marker, Receipt
from chat4all.ports.history import EncodedPage
from chat4all.ports.store import SequencedStore, StoreBatch
from chat4all.wire.messages import MessageView, message_view
from tests.contract.ports import Store, VisibleHistory
from tests.messages import batch, marked, message
from tests.records import CHATS
from tests.stored import Stored, stored

pytestmark = pytest.mark.anyio


async def test_an_unknown_conversation_is_empty(
    store: SequencedStore, history: VisibleHistory
) -> None:
    page = await stored(history, CHATS[0], limit=10)
    assert (list(page.messages), page.head) == ([], 0)
    assert await store.heads(CHATS) == {}
    assert await history.with_id(CHATS[0], MessageId(str(uuid.uuid4()))) == []


async def test_conversations_do_not_mix(store: SequencedStore, history: VisibleHistory) -> None:
    written = {}
    for number, chat in enumerate(CHATS, start=1):
        # The ids of one are in the others too, under other numbers.
        ids = [MessageId(str(uuid.UUID(int=number + seq))) for seq in range(2 * number)]
        written[chat] = [
            replace(message(seq, chat), message_id=of) for seq, of in enumerate(ids, start=1)
        ]
        await store.write(batch(*written[chat], head=number))
    for number, chat in enumerate(CHATS, start=1):
        page = await stored(history, chat, limit=10)
        assert page == Stored(written[chat][:number], number)


async def test_messages_with_one_id_are_in_their_order(
    store: SequencedStore, history: VisibleHistory
) -> None:
    senders = ("davi", "ana", "carla", "bruno")
    of_one = [
        replace(message(seq, sender=sender), message_id=message(1).message_id)
        for seq, sender in zip((7, 999, 1_000, 1_001), senders, strict=True)
    ]
    await store.write(batch(*of_one, head=1_000))
    assert await history.with_id(CHATS[0], message(1).message_id) == of_one[:3]


async def test_pages_are_dense_and_never_above_the_head(
    store: SequencedStore, history: VisibleHistory
) -> None:
    await store.write(batch(*[message(n) for n in range(990, 1_011)], head=1_008))

    async def seqs(**bounds: int) -> list[int]:
        return [m.seq for m in (await stored(history, CHATS[0], **bounds)).messages]

    assert await seqs(limit=3) == [1_006, 1_007, 1_008]
    assert await seqs(limit=4, before=1_002) == [998, 999, 1_000, 1_001]
    assert await seqs(limit=4, after=998) == [999, 1_000, 1_001, 1_002]
    assert await seqs(limit=4, after=1_007) == [1_008]
    assert await seqs(limit=4, after=1_008) == []
    assert await seqs(limit=4, before=2**53) == [1_005, 1_006, 1_007, 1_008]
    assert await history.with_id(CHATS[0], message(1_009).message_id) == []
    assert await history.with_id(CHATS[0], message(1_008).message_id) == [message(1_008)]


ALL_READ = [
    AllRead(0, None, 0),
    AllRead(997, Username("bruno"), 1_003),
    AllRead(1_000, Username("ana"), 1_000),
    AllRead(2_000, Username("carla"), 2_000),
]


@pytest.mark.parametrize("all_read", ALL_READ)
async def test_what_is_shown_is_the_page_with_its_statuses(
    store: SequencedStore, history: VisibleHistory, all_read: AllRead
) -> None:
    difficult = "".join(map(chr, range(0x80))) + "\x7f\x85\u2028\ufeff\uffff é 🎉 ',' \\u0000 {}[]"
    written = [
        replace(message(n), sender_id=Username(sender), content=f"{n} {difficult}")
        for n, sender in zip(
            range(990, 1_011), itertools.cycle(["bruno", "ana", 'q"\\{', "é🎉\0,"])
        )
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
        page = await stored(history, CHATS[0], **bound)
        shown = await history.page(CHATS[0], all_read, **bound)
        views = [message_view(m, all_read.status(m)) for m in page.messages]
        assert msgspec.json.decode(shown.body, type=list[MessageView], strict=True) == views, bound
        ends = (page.messages[0].seq, page.messages[-1].seq) if page.messages else (0, 0)
        assert (shown.first, shown.last) == ends, bound
        assert shown.size == len(page.messages), bound
        assert shown.names == {m.sender_id for m in page.messages}, bound
        assert shown.more == (0 < shown.last < page.head), bound
    empty = await history.page(CHATS[2], all_read, limit=5)
    assert empty == EncodedPage(b"[]", 0, 0, more=False)


async def test_a_marker_beyond_the_head_is_read_as_the_head(
    store: SequencedStore, history: VisibleHistory
) -> None:
    await store.write(batch(message(1), message(2)))
    marker = Marker(CHATS[0], Username("ana"), 9, 9)
    await store.write(StoreBatch(through=(), markers=[marker]))
    assert await history.read_seqs(CHATS[0]) == {"ana": 2}
    marker = Marker(CHATS[1], Username("bruno"), 9, 9)
    await store.write(StoreBatch(through=(), markers=[marker]))
    assert await history.read_seqs(CHATS[0]) == {"ana": 2}
    assert await history.read_seqs(CHATS[1]) == {"bruno": 0}


async def test_how_far_one_reader_has_read_is_told_whatever_the_head(store: Store) -> None:
    ana, bruno = Username("ana"), Username("bruno")
    await store.write(batch(message(1), message(2)))
    for chat, name, read in ((CHATS[0], ana, 9), (CHATS[0], bruno, 1), (CHATS[1], ana, 4)):
        await store.write(StoreBatch(through=(), markers=[Marker(chat, name, read, read)]))
    received = Marker(CHATS[1], Username("carla"), 3, 0)
    await store.write(StoreBatch(through=(), markers=[received]))
    chats = [(CHATS[0], ana), (CHATS[0], bruno), (CHATS[1], ana), (CHATS[1], bruno)]
    chats.append((CHATS[1], received.username))
    assert [await store.read_seq(*one) for one in chats] == [9, 1, 4, 0, 0]
    assert (await store.read_seqs(CHATS[1])).get(received.username, 0) == 0


async def test_receipts_have_the_times_of_what_they_say_in_any_order(
    store: SequencedStore, history: VisibleHistory
) -> None:
    said = [
        (1, 1, 1_000, 1_000),
        (3, 1, 2_000, 1_500),
        (3, 2, 2_500, 3_000),
        (2, 2, 4_000, 2_800),
    ]
    for order in itertools.permutations(said):
        chat = ConversationId(str(uuid.uuid4()))
        await store.write(batch(message(1, chat), message(2, chat), message(3, chat)))
        for numbers in order:
            await store.write(marked(chat, *numbers))
        # Of those who say the same number the later one counts, and none that says less.
        assert await history.receipts(chat) == {"ana": Receipt(3, 2, 2_500, 3_000)}, order


async def test_receipts_go_no_further_than_the_head(
    store: SequencedStore, history: VisibleHistory
) -> None:
    await store.write(batch(message(1), message(2)))
    assert await history.receipts(CHATS[0]) == {}
    await store.write(marked(CHATS[0], 9, 7, 1_000, 2_000))
    assert await history.receipts(CHATS[0]) == {"ana": Receipt(2, 2, 1_000, 2_000)}
    assert await history.receipts(CHATS[1]) == {}


async def test_what_was_read_was_received_by_then(
    store: SequencedStore, history: VisibleHistory
) -> None:
    await store.write(batch(message(1), message(2), message(3)))
    for numbers, seen in [
        ((1, 0, 1_000, 0), Receipt(1, 0, 1_000, None)),
        ((0, 1, 0, 2_000), Receipt(1, 1, 1_000, 2_000)),
        ((0, 2, 0, 3_000), Receipt(2, 2, 3_000, 3_000)),
        ((2, 0, 4_000, 0), Receipt(2, 2, 3_000, 3_000)),
        ((3, 0, 5_000, 0), Receipt(3, 2, 5_000, 3_000)),
    ]:
        await store.write(marked(CHATS[0], *numbers))
        assert await history.receipts(CHATS[0]) == {"ana": seen}, numbers
    await store.write(StoreBatch((), markers=[Marker(CHATS[0], Username("bruno"), 0, 1, 0, 7_000)]))
    assert (await history.receipts(CHATS[0]))[Username("bruno")] == Receipt(1, 1, 7_000, 7_000)
