"""Accept a message: once `send` has returned, the message will appear, exactly once."""

import asyncio
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from math import inf
from typing import TypeAlias

import uuid_utils

from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from chat4all.domain.file_uses import APPEND_SECONDS
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.kinds import FILE_KINDS
from chat4all.domain.messages import MessageDraft, own_or_first
from chat4all.domain.records import Headers, MessageRecord
from chat4all.domain.roles import check_member, check_mentioned
from chat4all.domain.times import now_utc
from chat4all.ports.directory import Members
from chat4all.ports.history import MessagesById
from chat4all.ports.log import MessageLog
from chat4all.usecases.attaching import Attaching
from chat4all.usecases.recent import Recent
from chat4all.wire.records import encode_record

UNKNOWN_NOT_BEFORE_SECONDS = 2.0
"""An unknown outcome is reported no sooner than this after the id was made. If the original lands
after that, its timestamp in the log is too late to pass as fresh, and a retry is found
(EXACTNESS 6)."""

STORED_SECONDS = 2.0
"""How long a reply waits until the message that it answers is stored, if it was accepted here."""

ELSEWHERE_SECONDS = 0.25
"""The same if another gateway may have accepted it."""

STORED_SOON = Backoff(0.01, 0.25)

REPLIES_WAITING_MAX = 256
"""Replies that wait so; one more is told to come again."""

REPLIES_AT_ONCE = 16
"""Of those, how many ask the store."""

_RecentKey: TypeAlias = tuple[ConversationId, MessageId, Username]


NOT_STORED_YET = "the message that is answered is not stored yet"


class _NotStoredYet(Unavailable):
    pass


def new_message_id() -> str:
    """Return an id for a message whose sender chose none: a UUIDv7 with the present time."""
    return str(uuid_utils.uuid7())


class Sending:
    """Sends messages, and caches those just accepted until they can be read from the store."""

    def __init__(
        self,
        log: MessageLog,
        members: Members,
        stored: MessagesById,
        attaching: Attaching,
        *,
        new_id: Callable[[], str] = new_message_id,
        unknown_not_before: float = UNKNOWN_NOT_BEFORE_SECONDS,
    ) -> None:
        self._log = log
        self._members = members
        self._stored = stored
        self._attaching = attaching
        self._new_id = new_id
        self._unknown_not_before = unknown_not_before
        self._recent = Recent[_RecentKey, MessageRecord]()
        self._replies = BoundedWaiting(
            REPLIES_WAITING_MAX, inf, "replies wait for what they answer", slots=REPLIES_AT_ONCE
        )

    async def send(self, sender: Username, draft: MessageDraft, headers: Headers = ()) -> MessageId:
        """Append the draft to the log and return the message's id once the log has it.

        `headers` are the record's headers.

        Raises `NotFound` when the sender is not a member (or there is no such conversation: the
        answers are the same), `InvalidInput` when it answers a message that is not there, mentions
        somebody who is not a member or names a file that its sender may not have, `Conflict` for a
        file that is not ready, and `Unavailable` with the id to retry with: as
        `OutcomeUnknown` when the message may or may not appear; in all other cases nothing was
        done.
        """
        started = time.monotonic()
        record = MessageRecord(
            conversation_id=draft.conversation_id,
            message_id=draft.message_id or MessageId(self._new_id()),
            sender_id=sender,
            content=draft.content,
            created_at=now_utc(),
            fresh=draft.message_id is None and self._log.makes_fresh_ids(),
            mark_read=draft.mark_read,
            kind=draft.kind,
            payload=draft.payload,
        )
        try:
            members = await self._members.members(draft.conversation_id)
            check_member(members, sender)
            if draft.refers:
                if draft.kind in FILE_KINDS and await self._has_accepted(sender, draft):
                    # Its file is not given to anybody again: the message may be deleted by now.
                    return record.message_id
                try:
                    record = await self._referring(record, draft, members)
                except (Conflict, InvalidInput):
                    if await self._has_accepted(sender, draft):
                        return record.message_id
                    raise
            check_in_time(started)
            await self._log.append(record.conversation_id, encode_record(record), headers)
        except Unavailable as error:
            await answer_no_sooner(error, started + self._unknown_not_before, fresh=record.fresh)
            error.message_id = record.message_id
            raise
        key = (record.conversation_id, record.message_id, record.sender_id)
        self._recent.keep(key, record, started)
        return record.message_id

    def recent(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> MessageRecord | None:
        """Return a sender's message by its id, if it was accepted here less than a minute ago."""
        return self._recent.get((conversation, message_id, sender), time.monotonic())

    async def _referring(
        self, record: MessageRecord, draft: MessageDraft, members: Container[Username]
    ) -> MessageRecord:
        """Return a record with the draft's file, those it mentions and the number it answers.

        Raises `InvalidInput` that names all of these that are broken.
        """
        errors: list[FieldError] = []
        with _gathering(errors):
            check_mentioned(members, draft.mentions)
        record = record._replace(mentions=tuple(dict.fromkeys(draft.mentions)))
        if (replied := draft.reply_to) is not None:
            with _gathering(errors):
                seq = await self._seq_of(record.sender_id, record.conversation_id, replied)
                seq = seq or await self._seq_soon(record.sender_id, draft, replied)
                record = record._replace(reply_seq=seq)
        if draft.kind in FILE_KINDS:
            with _gathering(errors):
                # Last: nobody gets the file of a message that is refused.
                if errors:
                    await self._attaching.check(record)
                else:
                    record = await self._attaching.attach(record)
        if errors:
            raise InvalidInput(errors)
        return record

    async def _has_accepted(self, sender: Username, draft: MessageDraft) -> bool:
        """Say whether a draft is a retry: what it refers to may be gone since it was accepted."""
        conversation, message_id = draft.conversation_id, draft.message_id
        if message_id is None:
            return False
        if self.recent(conversation, message_id, sender) is not None:
            return True
        messages = await self._stored.with_id(conversation, message_id)
        return any(message.sender_id == sender for message in messages)

    async def _seq_of(
        self, sender: Username, conversation: ConversationId, message_id: MessageId
    ) -> int | None:
        """Return the number of the message with an id: the sender's own, else the first.

        None while there is none, or only somebody else's and the sender's own was just accepted.
        """
        messages = await self._stored.with_id(conversation, message_id)
        if not messages:
            return None
        found = own_or_first(messages, sender)
        is_other = found.sender_id != sender
        if is_other and self.recent(conversation, message_id, sender) is not None:
            return None
        return found.seq

    async def _seq_soon(self, sender: Username, draft: MessageDraft, message_id: MessageId) -> int:
        """Return the number of a message that is not stored yet, once it is.

        Raises `InvalidInput` if it does not come in time, and `Unavailable` if it has to come.
        """
        conversation = draft.conversation_id
        must_come = self.recent(conversation, message_id, sender) is not None
        seconds = STORED_SECONDS if must_come else ELSEWHERE_SECONDS

        async def look() -> int:
            if (seq := await self._seq_of(sender, conversation, message_id)) is None:
                raise _NotStoredYet(NOT_STORED_YET)
            return seq

        try:
            async with asyncio.timeout(seconds), self._replies.turn():
                return await retry(
                    look,
                    STORED_SOON,
                    is_temporary=lambda error: isinstance(error, _NotStoredYet),
                    seconds=seconds,
                )
        except (TimeoutError, _NotStoredYet):
            if must_come:
                raise Unavailable(NOT_STORED_YET) from None
            detail = "there is no such message in this conversation"
            raise InvalidInput([FieldError("/reply_to", detail)]) from None


@contextmanager
def _gathering(errors: list[FieldError]) -> Iterator[None]:
    """Add what is wrong with a field to `errors`.

    What passes is raised only while there are none: the message would be refused after it, too.
    """
    try:
        yield
    except InvalidInput as error:
        errors += error.errors
    except (Conflict, Unavailable):
        if not errors:
            raise


def check_in_time(started: float) -> None:
    """Raise `Overloaded` where a record would be appended long after its request began.

    What was noted of its file may be settled by then (EXACTNESS, *Files*).
    """
    if time.monotonic() - started > APPEND_SECONDS:
        raise Overloaded("this process was stopped for a while")


async def answer_no_sooner(error: Unavailable, when: float, *, fresh: bool) -> None:
    """Wait until `when`, by the monotonic clock, if an error leaves open what became of a new id.

    A retry with an id that was marked `fresh` must be told from it by its time (EXACTNESS 6).
    """
    if fresh and isinstance(error, OutcomeUnknown):
        await asyncio.sleep(when - time.monotonic())
