"""Accept a message: once `send` has returned, the message will appear, exactly once."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import uuid_utils

from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import FieldError, InvalidInput, OutcomeUnknown, Unavailable
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import MessageDraft, own_or_first
from chat4all.domain.records import Headers, MessageRecord
from chat4all.domain.roles import check_member, check_mentioned
from chat4all.domain.times import now_utc
from chat4all.ports.directory import Members
from chat4all.ports.history import MessagesById
from chat4all.ports.log import MessageLog
from chat4all.wire.records import encode_record

UNKNOWN_NOT_BEFORE_SECONDS = 2.0
"""An unknown outcome is reported no sooner than this after the id was made. If the original lands
after that, its timestamp in the log is too late to pass as fresh, and a retry is found
(EXACTNESS 6)."""

RECENT_SECONDS = 60.0
RECENT_MAX = 10_000


STORED_SECONDS = 2.0
"""How long a reply waits until the message that it answers is stored, if that was just accepted."""

STORED_SOON = Backoff(0.01, 0.25)

_RecentKey: TypeAlias = tuple[ConversationId, MessageId, Username]


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
        answered: MessagesById,
        *,
        new_id: Callable[[], str] = new_message_id,
        unknown_not_before: float = UNKNOWN_NOT_BEFORE_SECONDS,
    ) -> None:
        self._log = log
        self._members = members
        self._answered = answered
        self._new_id = new_id
        self._unknown_not_before = unknown_not_before
        self._recent = _Recent()

    async def send(self, sender: Username, draft: MessageDraft, headers: Headers = ()) -> MessageId:
        """Append the draft to the log and return the message's id once the log has it.

        `headers` are the record's headers.

        Raises `NotFound` when the sender is not a member (or there is no such conversation: the
        answers are the same), `InvalidInput` when it answers a message that is not there or
        mentions somebody who is not a member, and `Unavailable` with the id to retry with: as
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
            mentions=draft.mentions,
        )
        try:
            members = await self._members.members(draft.conversation_id)
            check_member(members, sender)
            if draft.mentions:
                check_mentioned(members, draft.mentions)
            if draft.reply_to is not None:
                seq = await self._find(sender, draft.conversation_id, draft.reply_to)
                record = record._replace(reply_seq=seq)
            await self._log.append(record.conversation_id, encode_record(record), headers)
        except Unavailable as error:
            await answer_no_sooner(error, started + self._unknown_not_before, fresh=record.fresh)
            error.message_id = record.message_id
            raise
        self._recent.keep(record, started)
        return record.message_id

    def recent(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> MessageRecord | None:
        """Return a sender's message by its id, if it was accepted here less than a minute ago."""
        return self._recent.get((conversation, message_id, sender), time.monotonic())

    async def _find(
        self, sender: Username, conversation: ConversationId, message_id: MessageId
    ) -> int:
        """Return the number of the message that is answered: the sender's own, else the first.

        One that was just accepted here is waited for. Raises `InvalidInput` when there is none.
        """

        async def find() -> int:
            messages = await self._answered.with_id(conversation, message_id)
            if messages:
                return own_or_first(messages, sender).seq
            if self.recent(conversation, message_id, sender) is None:
                detail = "there is no such message in this conversation"
                raise InvalidInput([FieldError("/reply_to", detail)])
            raise _NotStoredYet("the message that is answered is not stored yet")

        return await retry(
            find,
            STORED_SOON,
            is_temporary=lambda error: isinstance(error, _NotStoredYet),
            seconds=STORED_SECONDS,
        )


async def answer_no_sooner(error: Unavailable, when: float, *, fresh: bool) -> None:
    """Wait until `when`, by the monotonic clock, if an error leaves open what became of a new id.

    A retry with an id that was marked `fresh` must be told from it by its time (EXACTNESS 6).
    """
    if fresh and isinstance(error, OutcomeUnknown):
        await asyncio.sleep(when - time.monotonic())


class _Recent:
    """The last accepted messages, by conversation, id and sender.

    In order of arrival: `keep` runs for every message and must find the oldest without a search.
    """

    def __init__(self) -> None:
        # In a plain dict, finding the oldest passes over every entry deleted before it.
        self._records: OrderedDict[_RecentKey, tuple[float, MessageRecord]] = OrderedDict()

    def keep(self, record: MessageRecord, now: float) -> None:
        """Keep a record, unless its id was accepted before: the first one in the log counts."""
        records = self._records
        key = (record.conversation_id, record.message_id, record.sender_id)
        if key not in records:
            records[key] = (now, record)
            if len(records) > RECENT_MAX:
                records.popitem(last=False)

    def get(self, key: _RecentKey, now: float) -> MessageRecord | None:
        """Return the record of this key, if it is not too old."""
        then, record = self._records.get(key, (-RECENT_SECONDS, None))
        return record if now < then + RECENT_SECONDS else None
