"""Edit and delete messages, and react to them: changes travel through the log like messages."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple, TypeAlias, assert_never

from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.changes import (
    EDITS_MAX,
    Edited,
    MadeChange,
    Reacted,
    ReactionCount,
    Version,
    emoji,
    renamed,
)
from chat4all.domain.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from chat4all.domain.ids import ChangeId, ConversationId, MessageId, Username
from chat4all.domain.messages import StoredMessage, own_or_first
from chat4all.domain.people import Role
from chat4all.domain.records import (
    ChangeRecord,
    DeletionRecord,
    EditRecord,
    Headers,
    ReactionRecord,
)
from chat4all.domain.roles import check_member
from chat4all.domain.times import now_utc
from chat4all.ports.directory import Members
from chat4all.ports.history import ChangeableMessages
from chat4all.ports.log import MessageLog
from chat4all.usecases.accepted_edits import AcceptedEdits
from chat4all.usecases.attaching import Attaching
from chat4all.usecases.public_names import PublicNames
from chat4all.usecases.recent import Recent
from chat4all.usecases.sending import (
    UNKNOWN_NOT_BEFORE_SECONDS,
    answer_no_sooner,
    check_in_time,
    new_message_id,
)
from chat4all.wire.records import encode_record

CHANGE_ID = "/change_id"

DELETIONS_MAX = 1_000
"""Deletions of one process at a time."""

_DELETED = "the message is deleted"

_log = logging.getLogger(__name__)

_Key: TypeAlias = tuple[ConversationId, ChangeId, Username]


class Changing:
    """Changes messages that are stored; what was only accepted cannot be changed yet.

    Every method that changes returns the change's id once the log has it. Giving an id of one's
    own makes a retry safe. They raise `NotFound` for somebody who is not a member and for a message
    that is not there, `InvalidInput` at `CHANGE_ID` for an id of another change of theirs, and
    `Unavailable` with the id to retry with: as `OutcomeUnknown` when the change may or may not be
    made.

    `seq` is the number of the message, which names one where several members used its id.

    Who may do it is decided here, and written into the record: a router must not depend on roles.
    """

    def __init__(
        self,
        log: MessageLog,
        history: ChangeableMessages,
        members: Members,
        names: PublicNames,
        attaching: Attaching,
        *,
        new_id: Callable[[], str] = new_message_id,
        unknown_not_before: float = UNKNOWN_NOT_BEFORE_SECONDS,
    ) -> None:
        self._log = log
        self._history = history
        self._members = members
        self._names = names
        self._attaching = attaching
        self._deletions = BoundedWaiting(DELETIONS_MAX, inf, "messages are being deleted")
        self._new_id = new_id
        self._unknown_not_before = unknown_not_before
        self._recent = Recent[_Key, ChangeRecord]()
        self._begun = Recent[_Key, ChangeRecord]()
        """Changes under ids of clients' own that are, or may be, on the way to the log."""
        self._edits = AcceptedEdits()

    async def edit(
        self,
        author: Username,
        conversation: ConversationId,
        message_id: MessageId,
        content: str,
        *,
        seq: int | None = None,
        change_id: ChangeId | None = None,
        headers: Headers = (),
    ) -> ChangeId:
        """Give one's own message another text.

        Raises `NotAllowed` for another's, `Conflict` when it is deleted or was edited too often.
        """

        async def prepare(of: dict[str, Any]) -> _Prepared:
            message, _ = await self._find(author, conversation, message_id, seq)
            if message.sender_id != author:
                raise NotAllowed("only its author edits a message")
            conflict = _DELETED if message.deleted_at is not None else None
            record, texts = EditRecord(**of, seq=message.seq, content=content), list[Version]()
            if message.edited_at is not None:
                texts.extend(await self._history.versions(conversation, message.seq))
            # Nothing is awaited from here until it is kept: edits under way see one another.
            if self._edits.count(record, texts) >= EDITS_MAX:
                conflict = f"it was edited {EDITS_MAX} times, which is the most"
            if conflict is not None or not self._edits.keep(record, time.monotonic()):
                return _Prepared(record, conflict)
            return _Prepared(record, give_up=lambda: self._edits.drop(record))

        return await self._append(author, conversation, change_id, headers, prepare)

    async def delete(
        self,
        author: Username,
        conversation: ConversationId,
        message_id: MessageId,
        *,
        seq: int | None = None,
        change_id: ChangeId | None = None,
        headers: Headers = (),
    ) -> ChangeId:
        """Delete one's own message or, as an admin or owner, any. It stays deleted.

        Raises `NotAllowed` for everybody else.
        """
        # To its end, also when the caller's connection closes meanwhile: a deletion that is made
        # has to take the message's file back.
        return await self._deletions.outlasting(
            lambda: self._delete(author, conversation, message_id, seq, change_id, headers)
        )

    async def _delete(
        self,
        author: Username,
        conversation: ConversationId,
        message_id: MessageId,
        seq: int | None,
        change_id: ChangeId | None,
        headers: Headers,
    ) -> ChangeId:
        deleted: list[StoredMessage] = []

        async def prepare(of: dict[str, Any]) -> _Prepared:
            message, role = await self._find(author, conversation, message_id, seq)
            deleted.append(message)
            is_own = message.sender_id == author
            if not is_own and role is Role.MEMBER:
                raise NotAllowed("only its author, an admin or an owner deletes a message")
            await self._attaching.doubt(message)
            return _Prepared(DeletionRecord(**of, seq=message.seq, as_admin=not is_own))

        made = await self._append(author, conversation, change_id, headers, prepare)
        try:
            await self._attaching.detach(*deleted)
        except Unavailable as error:
            # The deletion is made, and the use in doubt: `CheckingUses` takes the file back.
            _log.warning("a deleted message's file is taken back later: %s", error)
        return made

    async def react(
        self,
        author: Username,
        conversation: ConversationId,
        message_id: MessageId,
        reaction: str,
        *,
        given: bool,
        seq: int | None = None,
        change_id: ChangeId | None = None,
        headers: Headers = (),
    ) -> ChangeId:
        """Give a reaction, or take it back; doing so again changes nothing.

        Raises `InvalidInput` for what is no reaction, `Conflict` when the message is deleted.
        """
        try:
            one = emoji(reaction)
        except ValueError as error:
            raise InvalidInput([FieldError("/emoji", str(error))]) from None

        async def prepare(of: dict[str, Any]) -> _Prepared:
            message, _ = await self._find(author, conversation, message_id, seq)
            record = ReactionRecord(**of, seq=message.seq, emoji=one, given=given)
            conflict = _DELETED if given and message.deleted_at is not None else None
            return _Prepared(record, conflict)

        return await self._append(author, conversation, change_id, headers, prepare)

    async def versions(
        self,
        reader: Username,
        conversation: ConversationId,
        message_id: MessageId,
        seq: int | None = None,
    ) -> list[Version]:
        """Return every text that a message had, for its author and admins; see `ports.history`.

        The last one is the present one, also where the store does not tell all between.

        Raises `NotAllowed` for everybody else.
        """
        message, role = await self._find(reader, conversation, message_id, seq)
        if message.sender_id != reader and role is Role.MEMBER:
            raise NotAllowed("only its author, an admin or an owner sees the earlier texts")
        texts = list(await self._history.versions(conversation, message.seq))
        if len(texts) > EDITS_MAX:
            # The store tells no more, and another gateway or producer may have edited it again.
            message, _ = await self._find(reader, conversation, message_id, message.seq)
            if message.deleted_at is not None:
                return []
            if message.content != texts[-1].content:
                texts.append(Version(message.content, message.edited_at))
        return texts

    async def reactions(
        self,
        reader: Username,
        conversation: ConversationId,
        message_id: MessageId,
        seq: int | None = None,
    ) -> tuple[ReactionCount, ...]:
        """Return the reactions to a message, with all names."""
        members = await self._members.members(conversation)
        message, _ = await self._find(reader, conversation, message_id, seq, members)
        found = await self._history.reactions(conversation, message.seq)
        names = {name for one in found for name in one.names}
        return renamed(found, await self._names.aliases(names, members))

    async def _find(
        self,
        user: Username,
        conversation: ConversationId,
        message_id: MessageId,
        seq: int | None,
        members: Mapping[Username, Role] | None = None,
    ) -> tuple[StoredMessage, Role]:
        """Return the message that a member means, and the member's role.

        Several members may have used one id; then `seq` says which message is meant, or else it is
        the member's own, or the first.
        """
        if members is None:
            members = await self._members.members(conversation)
        check_member(members, user)
        messages = [
            message
            for message in await self._history.with_id(conversation, message_id)
            if seq is None or message.seq == seq
        ]
        if not messages:
            raise NotFound("no such message")
        return own_or_first(messages, user), members[user]

    async def _append(
        self,
        author: Username,
        conversation: ConversationId,
        change_id: ChangeId | None,
        headers: Headers,
        prepare: "Callable[[dict[str, Any]], Awaitable[_Prepared]]",
    ) -> ChangeId:
        """Append the record that `prepare` makes of what all changes have, unless it was before.

        A retry of what was accepted is accepted, also when it would be refused by now.
        """
        started = time.monotonic()
        made = change_id or ChangeId(self._new_id())
        fresh = change_id is None and self._log.makes_fresh_ids()
        of = {
            "conversation_id": conversation,
            "change_id": made,
            "author": author,
            "changed_at": now_utc(),
            "fresh": fresh,
        }
        key = (conversation, made, author)
        try:
            prepared = await prepare(of)
            try:
                if change_id is not None and await self._was_accepted(
                    key, prepared.record, started
                ):
                    prepared.give_up()
                    return made
                if prepared.conflict is not None:
                    raise Conflict(prepared.conflict)
                check_in_time(started)
                if change_id is not None:
                    self._begin(key, prepared.record)
                await self._log.append(conversation, encode_record(prepared.record), headers)
            except OutcomeUnknown:
                raise
            except Exception:
                prepared.give_up()
                self._begun.drop(key, prepared.record)
                raise
        except Unavailable as error:
            await answer_no_sooner(error, started + self._unknown_not_before, fresh=fresh)
            error.change_id = made
            raise
        self._recent.keep(key, prepared.record, started)
        return made

    async def _was_accepted(self, key: _Key, record: ChangeRecord, now: float) -> bool:
        """Say whether a change has an id under which it was accepted before.

        Raises `InvalidInput` when that was another change. What another gateway has accepted is not
        known before it is stored: a router makes the first one in the log then.
        """
        if (recent := self._recent.get(key, now)) is not None:
            is_same = _is_same(recent, record)
        elif (made := await self._history.made(*key)) is not None:
            is_same = is_as_made(record, made)
        else:
            return False
        if not is_same:
            raise _another_change()
        return True

    def _begin(self, key: _Key, record: ChangeRecord) -> None:
        """Keep a change that is about to be appended, so that another one cannot take its id.

        Raises `InvalidInput` when another one has it. The same change is appended once more: that
        the first time succeeds is not known yet.
        """
        now = time.monotonic()
        if (begun := self._begun.get(key, now)) is not None and not _is_same(begun, record):
            raise _another_change()
        self._begun.keep(key, record, now)


def _is_same(one: ChangeRecord, other: ChangeRecord) -> bool:
    return replace(one, changed_at=other.changed_at, fresh=other.fresh) == other


def _another_change() -> InvalidInput:
    return InvalidInput([FieldError(CHANGE_ID, "you have made another change under this id")])


class _Prepared(NamedTuple):
    """A change as the log gets it, and why it cannot be made any more."""

    record: ChangeRecord
    conflict: str | None = None
    give_up: Callable[[], None] = lambda: None
    """Called where it is not made after all, or was made before."""


def is_as_made(record: ChangeRecord, made: MadeChange) -> bool:
    """Say whether a change may be the one that was made: as far as the store still knows it."""
    if record.seq != made.seq:
        return False
    match record:
        case EditRecord(content=content):
            return made.effect in (Edited(content), Edited(""))
        case DeletionRecord():
            return made.effect is None and made.is_deleted
        case ReactionRecord(emoji=one, given=given):
            return made.effect in (None, Reacted(one, given))
        case _:
            assert_never(record)
