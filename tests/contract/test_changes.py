"""The contract of changes: what a router writes by `SequencedChanges`, `ChangedMessages` reads."""

import itertools
import uuid
from dataclasses import replace

import pytest

from chat4all.domain.changes import (
    EDITS_MAX,
    EMOJIS,
    ChangeHead,
    Deleted,
    Edited,
    MadeChange,
    Reacted,
    ReactionCount,
    Version,
)
from chat4all.domain.ids import ChangeId, ConversationId, Username
from chat4all.domain.messages import AllRead, Head, StoredMessage
from chat4all.domain.position import Position
from chat4all.ports.store import (
    ChangeEntry,
    ChangeKey,
    ChangeRow,
    IdEntry,
    IdKey,
    StoreBatch,
    Target,
    TargetKey,
)
from tests.contract.ports import Store
from tests.messages import at_change, batch, changed, changes, message, time_of
from tests.records import CHATS
from tests.stored import stored

pytestmark = pytest.mark.anyio

THUMB, HEART = EMOJIS[0], EMOJIS[2]
ANA, BRUNO = Username("ana"), Username("bruno")


async def the(store: Store, seq: int = 1) -> StoredMessage:
    """Return a message, which is the same on a page."""
    (found,) = await store.with_numbers(CHATS[0], [seq])
    assert (await stored(store, CHATS[0], limit=1, after=seq - 1)).messages == [found]
    return found


async def test_what_was_written_for_changes_is_found_again(store: Store) -> None:
    await store.write(batch(message(1), message(2)))
    assert await store.change_heads([CHATS[0]]) == {}
    first, second = changed(1, Edited("new"), seq=2), changed(2, Deleted(), author=ANA)
    await store.write(changes(first, second, head=0))
    assert await store.change_heads(CHATS[:2]) == {CHATS[0]: ChangeHead(2, at_change(2))}
    keys = [ChangeKey(CHATS[0], c.change_id, c.author) for c in (first, second)]
    others = [ChangeKey(CHATS[0], first.change_id, ANA), keys[0]._replace(conversation_id=CHATS[1])]
    assert await store.find_change_ids([*keys, *others]) == {
        keys[0]: ChangeEntry(1, at_change(1)),
        keys[1]: ChangeEntry(2, at_change(2)),
    }
    places = [(CHATS[0], at_change(2)), (CHATS[0], at_change(3)), (CHATS[1], at_change(1))]
    assert await store.changes_at(places) == {at_change(2): ChangeRow(2, second.change_id, ANA)}
    # A record may name any number.
    targets = [TargetKey(CHATS[0], n) for n in (1, 2, 3, 2_147_483_648_000, 2**53)]
    assert await store.targets(targets) == {
        targets[0]: Target(message(1).log_position, BRUNO, is_deleted=True),
        targets[1]: Target(message(2).log_position, BRUNO, is_deleted=False),
    }
    await store.write(changes(changed(3, Reacted(THUMB, given=True), seq=9)))
    assert await store.targets([TargetKey(CHATS[0], 9)]) == {}
    # The ids of messages are apart: here the first change has its message's.
    ids = batch(message(1)).ids
    assert await store.find_ids(list(ids)) == ids


async def test_the_first_use_of_an_id_of_a_change_stays(store: Store) -> None:
    """Also without its change, as after a router that stopped in between."""
    key = ChangeKey(CHATS[0], changed(1, Deleted()).change_id, BRUNO)
    for number in (1, 2):
        entry = ChangeEntry(number, at_change(number))
        await store.write(StoreBatch(through=(), change_ids={key: entry}))
    assert await store.find_change_ids([key]) == {key: ChangeEntry(1, at_change(1))}


async def test_ids_are_found_of_those_alone_who_are_asked_for(store: Store) -> None:
    of = message(1).message_id
    ids = {IdKey(CHATS[0], of, name): IdEntry(1, message(1).log_position) for name in (ANA, BRUNO)}
    change_ids = {
        ChangeKey(CHATS[0], ChangeId(of), name): ChangeEntry(number, at_change(number))
        for number, name in enumerate((ANA, BRUNO), start=1)
    }
    await store.write(StoreBatch((), ids=ids, change_ids=change_ids))
    for key, entry in ids.items():
        assert await store.find_ids([key, key]) == {key: entry}
    for change, place in change_ids.items():
        assert await store.find_change_ids([change]) == {change: place}


async def test_a_change_is_not_visible_above_the_head(store: Store) -> None:
    await store.write(batch(message(1)))
    await store.write(changes(*[changed(n, Edited(f"{n}")) for n in range(995, 1_006)], head=1_003))
    assert await store.position(CHATS[0]) == Position(1, 1_003)
    assert list(await store.changed(CHATS[0], after=997, limit=4)) == [
        (n, 1) for n in range(998, 1_002)
    ]
    assert list(await store.changed(CHATS[0], after=1_001, limit=9)) == [(1_002, 1), (1_003, 1)]
    assert list(await store.changed(CHATS[0], after=1_002, limit=9)) == [(1_003, 1)]
    assert list(await store.changed(CHATS[0], after=1_001, limit=1)) == [(1_002, 1)]
    assert list(await store.changed(CHATS[0], after=1_003, limit=9)) == []
    assert list(await store.changed(CHATS[1], after=0, limit=9)) == []
    assert await store.position(CHATS[1]) == Position(0, 0)
    assert await store.change_heads(CHATS[:1]) == {CHATS[0]: ChangeHead(1_005, at_change(1_005))}


async def test_an_edit_leaves_the_first_text_where_it_was(store: Store) -> None:
    await store.write(batch(message(1), message(2)))
    assert await store.versions(CHATS[0], 1) == []
    await store.write(changes(changed(1, Edited("second")), changed(2, Edited(""))))
    assert await the(store) == replace(message(1), content="", edited_at=time_of(2))
    wanted = [
        Version(message(1).content, None),
        Version("second", time_of(1)),
        Version("", time_of(2)),
    ]
    assert list(await store.versions(CHATS[0], 1)) == wanted
    # A replay, of the message and of an earlier edit, changes nothing.
    await store.write(batch(message(1)))
    await store.write(changes(changed(1, Edited("second"))))
    assert list(await store.versions(CHATS[0], 1)) == wanted
    assert (await the(store)).content == ""
    assert await the(store, 2) == message(2)


async def test_a_change_leaves_all_other_messages_as_they_were(store: Store) -> None:
    """Not those of its conversation, nor those of the same number elsewhere."""
    here, there = CHATS[:2]
    for chat in (here, there):
        await store.write(batch(message(1, chat), message(2, chat)))
    elsewhere = [
        changed(7, Edited("there"), chat=there),
        changed(8, Reacted(HEART, given=True), seq=2, chat=there),
        changed(9, Edited("there too"), seq=2, chat=there),
    ]
    await store.write(changes(*elsewhere))
    kept = await store.with_numbers(there, [1, 2])
    assert [(one.conversation_id, one.content) for one in kept] == [
        (there, "there"),
        (there, "there too"),
    ]
    changed_here = [
        changed(1, Edited("two"), seq=2),
        changed(2, Edited("one")),
        changed(3, Reacted(THUMB, given=True), seq=2),
        changed(4, Reacted(HEART, given=True)),
    ]
    of_first = (ReactionCount(HEART, 1, (BRUNO,)),)
    of_second = (ReactionCount(THUMB, 1, (BRUNO,)),)
    first = replace(message(1), content="one", edited_at=time_of(2), reactions=of_first)
    second = replace(message(2), content="two", edited_at=time_of(1), reactions=of_second)
    texts = [message(1).content, "one"]
    for _ in range(2):
        await store.write(changes(*changed_here))
        assert [await the(store), await the(store, 2)] == [first, second]
        assert [one.content for one in await store.versions(here, 1)] == texts
        assert tuple(await store.reactions(here, 1)) == of_first
        assert list(await store.reactions(there, 1)) == []
        assert list(await store.changed(here, after=0, limit=9)) == [(1, 2), (2, 1), (3, 2), (4, 1)]
        assert await store.position(here) == Position(2, 4)
    await store.write(changes(changed(5, Deleted(), seq=2)))
    assert await the(store) == first
    assert [one.content for one in await store.versions(here, 1)] == texts
    assert await store.with_numbers(there, [1, 2]) == kept
    assert [one.content for one in await store.versions(there, 2)][1:] == ["there too"]
    assert len(await store.reactions(there, 2)) == 1
    assert await store.position(there) == Position(2, 9)
    for chat, number, seq in ((here, 4, 1), (there, 8, 2)):
        of = changed(number, Deleted()).change_id
        given = Reacted(HEART, given=True)
        assert await store.made(chat, of, BRUNO) == MadeChange(seq, given, is_deleted=False)


async def test_what_was_made_under_an_id(store: Store) -> None:
    await store.write(batch(message(1), message(2)))
    made = [
        changed(1, Edited("one"), seq=2),
        changed(2, Reacted(THUMB, given=True)),
        changed(3, Reacted(HEART, given=True), author=ANA),
        changed(4, Reacted(HEART, given=False), author=ANA),
        changed(5, Deleted()),
    ]
    await store.write(changes(*made))

    async def found(number: int) -> MadeChange | None:
        one = made[number - 1]
        return await store.made(CHATS[0], one.change_id, one.author)

    assert await found(1) == MadeChange(2, Edited("one"))
    assert await found(2) == MadeChange(1, Reacted(THUMB, given=True), is_deleted=True)
    # It was taken back by the next one.
    assert await found(3) == MadeChange(1, None, is_deleted=True)
    assert await found(4) == MadeChange(1, Reacted(HEART, given=False), is_deleted=True)
    assert await found(5) == MadeChange(1, None, is_deleted=True)
    assert await store.made(CHATS[0], made[0].change_id, ANA) is None
    assert await store.made(CHATS[1], made[0].change_id, made[0].author) is None
    made.append(changed(6, Deleted(), seq=2))
    await store.write(changes(made[-1]))
    assert await found(1) == MadeChange(2, Edited(""))
    assert await found(6) == MadeChange(2, None, is_deleted=True)
    await store.write(batch(message(1, CHATS[1])))
    reacted = Reacted(THUMB, given=True)
    first = changed(1, reacted, chat=CHATS[1])
    await store.write(changes(first))
    assert await store.made(CHATS[1], first.change_id, BRUNO) == MadeChange(1, reacted)


async def test_the_texts_of_a_message_are_bounded(store: Store) -> None:
    """Another producer may edit it any number of times."""
    await store.write(batch(message(1)))
    edits = [changed(n, Edited(f"{n}")) for n in range(1, EDITS_MAX + 3)]
    await store.write(changes(*edits))
    found = [one.content for one in await store.versions(CHATS[0], 1)]
    assert found == [message(1).content, *(f"{n}" for n in range(1, EDITS_MAX + 1))]
    assert (await the(store)).content == f"{EDITS_MAX + 2}"


async def test_a_deletion_takes_every_text_and_stays(store: Store) -> None:
    await store.write(batch(message(1)))
    written = [
        changed(1, Edited("secret")),
        changed(2, Reacted(THUMB, given=True)),
        changed(3, Deleted()),
        changed(4, Edited(None)),
        changed(5, Reacted(HEART, given=True)),
        changed(6, Deleted(), author=ANA),
    ]
    wanted = replace(message(1), content="", deleted_at=time_of(3))
    # The deletion finds what earlier batches have left.
    await store.write(changes(*written[:2]))
    for order in (written, written, written[:1], written[1:2], written[4:5]):
        await store.write(changes(*order))
        await store.write(batch(message(1)))
        assert await the(store) == wanted
        assert list(await store.versions(CHATS[0], 1)) == []
        assert list(await store.reactions(CHATS[0], 1)) == []
        page = await stored(store, CHATS[0], limit=5)
        assert page.messages == [wanted]
        assert b"secret" not in (await store.page(CHATS[0], AllRead(0, None, 0), limit=5)).body


async def test_reactions_are_cells_of_which_the_last_record_counts(store: Store) -> None:
    await store.write(batch(message(1)))
    written = [
        changed(1, Reacted(HEART, given=True), author=ANA),
        changed(2, Reacted(HEART, given=True)),
        changed(3, Reacted(THUMB, given=True)),
        changed(4, Reacted(HEART, given=False), author=ANA),
        changed(5, Reacted(HEART, given=True), author=ANA),
        changed(6, Reacted(THUMB, given=False)),
        changed(7, Reacted(THUMB, given=False), author=ANA),
    ]
    await store.write(changes(*written))
    wanted = (ReactionCount(HEART, 2, (BRUNO, ANA)),)
    for late in (None, *written):  # a late writer changes nothing
        if late is not None:
            await store.write(changes(late))
        assert await the(store) == replace(message(1), reactions=wanted)
        assert tuple(await store.reactions(CHATS[0], 1)) == wanted
    page = await store.page(CHATS[0], AllRead(0, None, 0), limit=5)
    assert page.names == {ANA, BRUNO}


async def test_a_message_shows_ten_names_of_a_reaction(store: Store) -> None:
    await store.write(batch(message(1)))
    names = [Username(f"user{n:02}") for n in range(12, 0, -1)]
    reacted = Reacted(THUMB, given=True)
    await store.write(
        changes(*[changed(n, reacted, author=name) for n, name in enumerate(names, start=1)])
    )
    assert (await the(store)).reactions == (ReactionCount(THUMB, 12, tuple(names[:10])),)
    (all_of_them,) = await store.reactions(CHATS[0], 1)
    assert all_of_them == ReactionCount(THUMB, 12, tuple(names))


async def test_the_two_numbers_of_a_head_are_written_apart(store: Store) -> None:
    """A late head of one takes the other nowhere, in whatever order they land (EXACTNESS 25)."""
    edits = [changed(n, Edited(f"{n}")) for n in (1, 2, 3)]
    early, late = message(1), replace(message(2), log_position=at_change(9))
    heads: list[Head | ChangeHead] = [
        Head(1, early.log_position),
        Head(2, late.log_position),
        ChangeHead(1, at_change(1)),
        ChangeHead(3, at_change(3)),
    ]
    for number, order in enumerate(itertools.permutations(heads)):
        if isinstance(order[0], ChangeHead):
            continue  # that of the messages is written no later
        chat = ConversationId(str(uuid.UUID(int=1_000 + number)))
        await store.write(StoreBatch((), messages=[replace(early, conversation_id=chat)]))
        await store.write(StoreBatch((), changes=[c._replace(conversation_id=chat) for c in edits]))
        for one in order:
            await store.write(
                StoreBatch((), change_heads={chat: one})
                if isinstance(one, ChangeHead)
                else StoreBatch((), heads={chat: one})
            )
        assert await store.position(chat) == Position(2, 3)
        assert len(await store.changed(chat, after=0, limit=9)) == len(edits)


async def test_a_page_and_a_list_say_what_they_were_read_at(store: Store) -> None:
    nothing = await store.page(CHATS[1], AllRead(0, None, 0), limit=5)
    assert nothing.position == Position(0, 0)
    await store.write(batch(message(1), message(2)))
    await store.write(changes(changed(1, Edited("new"))))
    for bounds in ({}, {"after": 2}, {"before": 1}):
        page = await store.page(CHATS[0], AllRead(0, None, 0), limit=5, **bounds)
        assert page.position == Position(2, 1)
    assert (await store.activity(CHATS[:1]))[CHATS[0]].change == 1


async def test_messages_above_the_head_are_not_found_by_their_numbers(store: Store) -> None:
    await store.write(batch(message(1), message(2), message(3), head=2))
    found = await store.with_numbers(CHATS[0], [3, 2, 1, 2])
    assert list(found) == [message(1), message(2)]
    assert list(await store.with_numbers(CHATS[1], [1])) == []
