"""The contract of `ports.store.SequencedStore`; its writes are read through a `History`."""

import pytest

from chat4all.domain.ids import LogPosition, Username
from chat4all.domain.messages import Head, Marker
from chat4all.ports.store import IdEntry, IdKey, SequencedStore, StoreBatch
from tests.contract.ports import Store, VisibleHistory
from tests.messages import batch, message, row_of
from tests.records import CHATS
from tests.stored import stored

pytestmark = pytest.mark.anyio


async def test_what_is_written_is_read(store: SequencedStore, history: VisibleHistory) -> None:
    written = [message(1), message(2), message(3)]
    await store.write(batch(*written))
    page = await stored(history, CHATS[0], limit=10)
    assert (list(page.messages), page.head) == (written, 3)
    assert await history.read_seqs(CHATS[0]) == {}
    keys = [IdKey(CHATS[0], m.message_id, m.sender_id) for m in written]
    unknown = IdKey(CHATS[0], written[0].message_id, Username("ana"))
    assert await store.find_ids([*keys, unknown]) == {
        key: IdEntry(m.seq, m.log_position) for key, m in zip(keys, written, strict=True)
    }
    assert await history.with_id(CHATS[0], written[1].message_id) == [written[1]]


async def test_the_recovered_head_is_the_last_row_also_without_a_written_head(
    store: SequencedStore, history: VisibleHistory
) -> None:
    await store.write(batch(message(1), message(2)))
    await store.write(batch(message(3), message(4), head=0))
    assert (await stored(history, CHATS[0], limit=10)).head == 2
    assert await store.heads([CHATS[0], CHATS[1]]) == {CHATS[0]: Head(4, LogPosition(0, 0, 40))}


async def test_rows_are_found_by_the_record_that_made_them(store: SequencedStore) -> None:
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


async def test_writing_again_changes_nothing(
    store: SequencedStore, history: VisibleHistory
) -> None:
    first, second = batch(message(1), message(2)), batch(message(3))
    await store.write(first)
    await store.write(second)
    before = await stored(history, CHATS[0], limit=10)
    await store.write(first)
    assert await stored(history, CHATS[0], limit=10) == before


async def test_the_first_use_of_an_id_stays(store: SequencedStore) -> None:
    key = IdKey(CHATS[0], message(1).message_id, Username("bruno"))
    for seq in (1, 2):
        entry = IdEntry(seq, LogPosition(0, 0, seq))
        await store.write(StoreBatch(through=(), ids={key: entry}))
    assert await store.find_ids([key]) == {key: IdEntry(1, LogPosition(0, 0, 1))}


async def test_heads_and_markers_only_grow(store: SequencedStore, history: VisibleHistory) -> None:
    await store.write(batch(message(1), message(2), message(3)))
    await store.write(StoreBatch(through=(), heads={CHATS[0]: Head(1, LogPosition(0, 0, 10))}))
    assert (await stored(history, CHATS[0], limit=1)).head == 3
    for delivered, read in [(3, 2), (1, 3), (2, 1)]:
        marker = Marker(CHATS[0], Username("ana"), delivered, read)
        await store.write(StoreBatch(through=(), markers=[marker]))
    assert await history.read_seqs(CHATS[0]) == {"ana": 3}


async def test_of_nothing_nothing_is_found(store: Store) -> None:
    await store.write(batch(message(1)))
    for find in (store.find_ids, store.at_positions, store.heads, store.targets):
        assert await find([]) == {}
    for find_changes in (store.find_change_ids, store.changes_at, store.change_heads):
        assert await find_changes([]) == {}


async def test_it_answers_a_ping(store: Store) -> None:
    await store.ping()
