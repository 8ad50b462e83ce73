"""Edit and delete messages, and react to them: changes travel through the log like messages."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from chat4all.domain.changes import EDITS_MAX, ReactionCount, Version, emoji, renamed
from chat4all.domain.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotAllowed,
    NotFound,
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
from chat4all.usecases.public_names import PublicNames
from chat4all.usecases.sending import (
    UNKNOWN_NOT_BEFORE_SECONDS,
    answer_no_sooner,
    new_message_id,
)
from chat4all.wire.records import encode_record


class Changing:
    """Changes messages that are stored; what was only accepted cannot be changed yet.

    Every method that changes returns the change's id once the log has it. Giving an id of one's
    own makes a retry safe. They raise `NotFound` for somebody who is not a member and for a message
    that is not there, and `Unavailable` with the id to retry with: as `OutcomeUnknown` when the
    change may or may not be made.

    `seq` is the number of the message, which names one where several members used its id.

    Who may do it is decided here, and written into the record: a router must not depend on roles.
    """

    def __init__(
        self,
        log: MessageLog,
        history: ChangeableMessages,
        members: Members,
        names: PublicNames,
        *,
        new_id: Callable[[], str] = new_message_id,
        unknown_not_before: float = UNKNOWN_NOT_BEFORE_SECONDS,
    ) -> None:
        self._log = log
        self._history = history
        self._members = members
        self._names = names
        self._new_id = new_id
        self._unknown_not_before = unknown_not_before

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

        async def record(of: dict[str, Any]) -> ChangeRecord:
            message, _ = await self._find(author, conversation, message_id, seq)
            if message.sender_id != author:
                raise NotAllowed("only its author edits a message")
            _check_present(message)
            if message.edited_at is not None:
                texts = await self._history.versions(conversation, message.seq)
                if len(texts) > EDITS_MAX:
                    raise Conflict(f"it was edited {EDITS_MAX} times, which is the most")
            return EditRecord(**of, seq=message.seq, content=content)

        return await self._append(author, conversation, change_id, headers, record)

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

        async def record(of: dict[str, Any]) -> ChangeRecord:
            message, role = await self._find(author, conversation, message_id, seq)
            is_own = message.sender_id == author
            if not is_own and role is Role.MEMBER:
                raise NotAllowed("only its author, an admin or an owner deletes a message")
            return DeletionRecord(**of, seq=message.seq, as_admin=not is_own)

        return await self._append(author, conversation, change_id, headers, record)

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

        async def record(of: dict[str, Any]) -> ChangeRecord:
            message, _ = await self._find(author, conversation, message_id, seq)
            if given:
                _check_present(message)
            return ReactionRecord(**of, seq=message.seq, emoji=one, given=given)

        return await self._append(author, conversation, change_id, headers, record)

    async def versions(
        self,
        reader: Username,
        conversation: ConversationId,
        message_id: MessageId,
        seq: int | None = None,
    ) -> list[Version]:
        """Return every text that a message had, for its author and admins; see `ports.history`.

        Raises `NotAllowed` for everybody else.
        """
        message, role = await self._find(reader, conversation, message_id, seq)
        if message.sender_id != reader and role is Role.MEMBER:
            raise NotAllowed("only its author, an admin or an owner sees the earlier texts")
        return list(await self._history.versions(conversation, message.seq))

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
        record: Callable[[dict[str, Any]], Awaitable[ChangeRecord]],
    ) -> ChangeId:
        """Append the record that `record` makes of what all changes have."""
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
        try:
            value = encode_record(await record(of))
            await self._log.append(conversation, value, headers)
        except Unavailable as error:
            await answer_no_sooner(error, started + self._unknown_not_before, fresh=fresh)
            error.change_id = made
            raise
        return made


def _check_present(message: StoredMessage) -> None:
    if message.deleted_at is not None:
        raise Conflict("the message is deleted")
