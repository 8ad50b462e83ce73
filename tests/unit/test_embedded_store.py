"""What `store.db` alone promises: a batch is one transaction, which moves the log's offset."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chat4all.adapters.embedded import EmbeddedStore
from chat4all.domain.changes import EMOJIS, Deleted, Edited, Reacted
from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import LogPosition, Username
from chat4all.domain.kinds import Kind
from chat4all.domain.messages import Activity, Marker
from chat4all.ports.store import StoreBatch
from tests.messages import at_change, batch, changed, changes, message
from tests.records import CHATS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "store.db")
    await store.open()
    await store.follows("a log")
    yield store
    await store.close()


def others(place: LogPosition) -> list[LogPosition]:
    """Return positions that differ from one in one part each."""
    return [
        place._replace(epoch=place.epoch + 1),
        place._replace(partition=place.partition + 1),
        place._replace(offset=place.offset + 1),
    ]


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.SYSTEM])
@pytest.mark.parametrize("place", others(message(1).log_position))
async def test_a_number_belongs_to_one_message_for_ever(
    store: EmbeddedStore, place: LogPosition, kind: Kind
) -> None:
    """Fails when the store takes another record's message, or a part of its batch."""
    await store.write(batch(message(1)))
    other = replace(message(1, sender="ana"), log_position=place, kind=kind)
    with pytest.raises(RouterStopped, match="already another message's"):
        await store.write(
            replace(batch(other, message(2)), markers=[Marker(CHATS[0], Username("ana"), 1, 1)])
        )
    assert await store.head(CHATS[0]) == 1
    assert list(await store.with_numbers(CHATS[0], [1])) == [message(1)]
    assert await store.read_seqs(CHATS[0]) == {}
    assert (store.committed, await store.stored()) == (10, 10)


@pytest.mark.parametrize("place", others(at_change(1)))
async def test_a_number_belongs_to_one_change_for_ever(
    store: EmbeddedStore, place: LogPosition
) -> None:
    await store.write(batch(message(1)))
    await store.write(changes(changed(1, Edited("first"))))
    other = changed(1, Edited("another"))._replace(log_position=place)
    with pytest.raises(RouterStopped, match="already another change's"):
        await store.write(changes(other, changed(2, Edited("more"))))
    assert await store.changed(CHATS[0], after=0, limit=9) == [(1, 1)]
    assert [one.content for one in await store.versions(CHATS[0], 1)][1:] == ["first"]
    assert await store.stored() == at_change(1).offset


async def test_the_offset_only_grows(store: EmbeddedStore) -> None:
    """Fails when a replay takes it back: the log would be read again, or is not trimmed."""

    async def offsets() -> tuple[int, int]:
        return store.committed, await store.stored()

    await store.write(StoreBatch(through=()))
    assert await offsets() == (0, 0)
    await store.write(batch(message(1), message(2)))
    assert await offsets() == (20, 20)
    await store.write(batch(message(1)))
    await store.write(StoreBatch(through=()))
    await store.commit([LogPosition(0, 0, 15)])
    assert await offsets() == (20, 20)
    await store.commit([LogPosition(0, 0, 22), LogPosition(0, 0, 21)])
    assert await offsets() == (22, 22)
    await store.commit([])
    assert await store.follows("another log") == ("a log", 22)


async def test_a_store_that_follows_no_log_yet_has_stored_nothing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store.db")
    await store.open()
    assert await store.stored() == 0
    await store.close()


async def test_what_a_store_follows_is_known_after_a_restart(tmp_path: Path) -> None:
    for log, wanted in (("first", ("first", 0)), ("second", ("first", 20))):
        store = EmbeddedStore(tmp_path / "store.db")
        await store.open()
        assert await store.follows(log) == wanted
        assert store.committed == wanted[1]
        await store.write(batch(message(1), message(2)))
        await store.close()


async def test_a_head_without_a_time_comes_last_in_lists(store: EmbeddedStore) -> None:
    await store.write(batch(message(1)))
    assert await store.activity(CHATS[:1]) == {CHATS[0]: Activity(1, 0)}


async def test_what_a_message_has_not_is_null(store: EmbeddedStore) -> None:
    """Fails when the index of mentions has messages that mention nobody."""
    given = replace(message(3), payload={"a": 1}, mentions=(Username("ana"),))
    await store.write(batch(message(1), replace(message(2), reply_seq=1), given))
    taken_back = [changed(n, Reacted(EMOJIS[0], given=n == 1)) for n in (1, 2)]
    await store.write(changes(*taken_back, changed(3, Deleted(), seq=3)))
    query = "SELECT count(*), count(payload), count(mentions), count(reactions) FROM messages"
    assert await store._database.read_one(query, {}) == (3, 0, 0, 0)
