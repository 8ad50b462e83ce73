"""What becomes of a change whose log or store does not answer."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chat4all.domain.changes import MadeChange, ReactionCount, Version
from chat4all.domain.errors import InvalidInput, OutcomeUnknown, Unavailable
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
        self.log_fails: Exception | None = None
        self.store_fails: Exception | None = None

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
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
        return [message(1)]

    async def page(self, *_: Any, **__: Any) -> EncodedPage:
        raise NotImplementedError

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        raise NotImplementedError

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        raise NotImplementedError

    async def versions(self, conversation: ConversationId, seq: int) -> Sequence[Version]:
        return []

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
