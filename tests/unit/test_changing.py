"""What becomes of a change whose log or store does not answer."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from chat4all.domain.changes import EDITS_MAX, MadeChange, ReactionCount, Version
from chat4all.domain.errors import Conflict, InvalidInput, OutcomeUnknown, Unavailable
from chat4all.domain.ids import ChangeId, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import Receipt, StoredMessage
from chat4all.domain.people import Role
from chat4all.domain.records import EditRecord, Headers
from chat4all.ports.history import EncodedPage
from chat4all.usecases.changing import Changing
from chat4all.usecases.public_names import PublicNames
from chat4all.wire.records import decode_record
from tests.attached import attaching
from tests.messages import message
from tests.records import CHATS

pytestmark = pytest.mark.anyio

BRUNO = Username("bruno")
OWN = ChangeId(CHATS[3])
NOT_BEFORE = 0.1


class Fake:
    """A log, a store and a directory with one message, each of which may not answer."""

    def __init__(self) -> None:
        self.appended: list[bytes] = []
        self.fresh = True
        self.versions_stored: Sequence[Version] = []
        self.log_fails: Exception | None = None
        self.store_fails: Exception | None = None
        self.appends = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        self.appends += 1
        await self.answers.wait()
        if self.log_fails is not None:
            raise self.log_fails
        self.appended.append(value)
        return LogPosition(0, 0, 1)

    def makes_fresh_ids(self) -> bool:
        return self.fresh

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        return {BRUNO: Role.MEMBER}

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        if self.store_fails is not None:
            raise self.store_fails
        edited_at = self.versions_stored[-1].edited_at if self.versions_stored else None
        return [replace(message(1), edited_at=edited_at)]

    async def page(self, *_: Any, **__: Any) -> EncodedPage:
        raise NotImplementedError

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        raise NotImplementedError

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        raise NotImplementedError

    async def versions(self, conversation: ConversationId, seq: int) -> Sequence[Version]:
        return self.versions_stored

    async def made(self, *_: Any) -> MadeChange | None:
        return None

    async def reactions(self, conversation: ConversationId, seq: int) -> Sequence[ReactionCount]:
        return []

    async def aliases(self, names: Sequence[Username]) -> Mapping[Username, Username]:
        return {}


def changing(fake: Fake) -> Changing:
    return Changing(fake, fake, fake, PublicNames(fake), attaching(), unknown_not_before=NOT_BEFORE)


async def refused(fake: Fake, change_id: ChangeId | None = None) -> tuple[Unavailable, float]:
    started = time.monotonic()
    with pytest.raises(Unavailable) as found:
        await changing(fake).edit(
            BRUNO, CHATS[0], message(1).message_id, "new", change_id=change_id
        )
    return found.value, time.monotonic() - started


async def test_a_record_says_all_that_the_change_does() -> None:
    fake = Fake()
    made = await changing(fake).edit(BRUNO, CHATS[0], message(1).message_id, "new")
    record = decode_record(fake.appended[0])
    assert isinstance(record, EditRecord)
    assert (record.change_id, record.author, record.seq, record.content, record.fresh) == (
        made,
        BRUNO,
        1,
        "new",
        True,
    )
    await changing(fake).delete(BRUNO, CHATS[0], message(1).message_id, change_id=OWN)
    second = decode_record(fake.appended[1])
    assert not isinstance(second, EditRecord)
    assert b"fresh" not in fake.appended[1]  # an id of the client's may be a retry


async def test_an_unknown_outcome_of_a_fresh_id_is_told_no_sooner_than_a_retry_is_safe() -> None:
    fake = Fake()
    fake.log_fails = OutcomeUnknown("not acknowledged in time")
    error, took = await refused(fake)
    assert error.change_id is not None
    assert took >= NOT_BEFORE
    for fresh, own in ((True, OWN), (False, None)):
        fake.fresh = fresh
        error, took = await refused(fake, own)
        assert error.change_id == (own or error.change_id)
        assert took < NOT_BEFORE


async def test_what_is_no_reaction_is_refused() -> None:
    fake = Fake()
    with pytest.raises(InvalidInput, match="/emoji"):
        await changing(fake).react(BRUNO, CHATS[0], message(1).message_id, "🦜", given=True)
    assert fake.appended == []


async def test_what_could_not_be_looked_up_carries_its_id_too() -> None:
    fake = Fake()
    fake.store_fails = Unavailable("the store does not answer")
    error, _ = await refused(fake, OWN)
    assert (error.change_id, fake.appended) == (OWN, [])


async def edits(one: Changing, *contents: str) -> "list[ChangeId | BaseException]":
    """Edit a message to each of these texts at once, all under one id."""
    under_way = (
        one.edit(BRUNO, CHATS[0], message(1).message_id, content, change_id=OWN)
        for content in contents
    )
    return await asyncio.gather(*under_way, return_exceptions=True)


async def test_of_two_changes_at_once_under_one_id_one_is_refused() -> None:
    """Fails when both are accepted: the second in the log is never made."""
    fake = Fake()
    fake.answers.clear()
    under_way = asyncio.ensure_future(edits(changing(fake), "one", "other", "one"))
    async with asyncio.timeout(10):
        while fake.appends < 2:
            await asyncio.sleep(0)
    fake.answers.set()
    first, other, again = await under_way
    assert isinstance(other, InvalidInput)
    # The same once more waits for the log as the first one does.
    assert (first, again, len(fake.appended)) == (OWN, OWN, 2)


async def test_an_id_is_free_again_unless_its_change_may_be_made() -> None:
    fake = Fake()
    one = changing(fake)
    with patch("chat4all.usecases.changing.answer_no_sooner"):
        fake.log_fails = Unavailable("the log does not answer")
        await edits(one, "first")
        fake.log_fails = OutcomeUnknown("not acknowledged in time")
        await edits(one, "second")
    fake.log_fails = None
    refused, made = await edits(one, "third", "second")
    assert isinstance(refused, InvalidInput)
    assert (made, len(fake.appended)) == (OWN, 1)


async def test_edits_under_way_and_not_stored_yet_count() -> None:
    fake = Fake()
    one = changing(fake)

    async def edited(count: int) -> list[ChangeId | BaseException]:
        edits = (
            one.edit(BRUNO, CHATS[0], message(1).message_id, f"edit {n}") for n in range(count)
        )
        return await asyncio.gather(*edits, return_exceptions=True)

    assert {type(outcome) for outcome in await edited(EDITS_MAX - 20)} == {str}
    # Once most of them are stored each still counts once.
    decoded = [decode_record(value) for value in fake.appended]
    records = [record for record in decoded if isinstance(record, EditRecord)]
    fake.versions_stored = [
        Version("first", None),
        *(Version(one.content, one.changed_at) for one in records),
    ][:-10]
    outcomes = await edited(50)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 30
    assert len(fake.appended) == EDITS_MAX
    again = records[0]
    assert await one.edit(
        BRUNO, CHATS[0], message(1).message_id, "edit 0", change_id=again.change_id
    )
    assert len(fake.appended) == EDITS_MAX


async def test_an_edit_that_was_not_accepted_does_not_count() -> None:
    fake = Fake()
    one = changing(fake)
    fake.log_fails = Unavailable("the log does not answer")
    with patch("chat4all.usecases.changing.answer_no_sooner"):
        for n in range(EDITS_MAX):
            with pytest.raises(Unavailable):
                await one.edit(BRUNO, CHATS[0], message(1).message_id, f"edit {n}")
    fake.log_fails = None
    assert await one.edit(BRUNO, CHATS[0], message(1).message_id, "new")


async def test_the_texts_end_with_the_present_one_where_the_store_tells_no_more() -> None:
    fake = Fake()
    fake.versions_stored = [Version(f"{n}", f"{n}") for n in range(EDITS_MAX + 1)]
    found = await changing(fake).versions(BRUNO, CHATS[0], message(1).message_id)
    assert len(found) == EDITS_MAX + 2
    assert found[-1].content == message(1).content
