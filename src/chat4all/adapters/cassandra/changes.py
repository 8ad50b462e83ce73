"""The statements of changes and what they do to their messages (EXACTNESS 5, 23, 25, 27)."""

from datetime import datetime
from uuid import UUID

from chat4all.adapters.cassandra.keys import (
    TERMINAL_TIMESTAMP,
    bucket_of,
    first_wins_timestamp,
    log_timestamp,
    slot_of,
)
from chat4all.adapters.cassandra.session import Statement
from chat4all.domain.changes import ChangeHead, Deleted, Edited, NumberedChange, Reacted
from chat4all.domain.ids import ConversationId
from chat4all.ports.store import ChangeEntry, ChangeKey

_PUT_CHANGE = (
    "INSERT INTO changes (conversation_id, bucket, change, seq, change_id, author, log_position) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_ID = (
    "INSERT INTO change_ids (conversation_id, slot, change_id, author, change, log_position) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_HEAD = (
    "INSERT INTO conversation_heads (conversation_id, change, change_position) VALUES (?, ?, ?) "
    "USING TIMESTAMP ?"
)
_PUT_EDIT = (
    "INSERT INTO edits (conversation_id, bucket, seq, change, content, edited_at) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_BLANK_EDIT = (
    "INSERT INTO edits (conversation_id, bucket, seq, change, content) VALUES (?, ?, ?, ?, ?) "
    "USING TIMESTAMP ?"
)
_EDITED = (
    "INSERT INTO messages (conversation_id, bucket, seq, edited_content, edited_at) "
    "VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_DELETED_AT = (
    "INSERT INTO messages (conversation_id, bucket, seq, deleted_at) VALUES (?, ?, ?, ?) "
    "USING TIMESTAMP ?"
)
_BLANK = (
    "INSERT INTO messages (conversation_id, bucket, seq, content, edited_content, payload, "
    "mentions) VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_BLANK_MENTIONS = (
    "INSERT INTO mentions (conversation_id, bucket, seq, names) VALUES (?, ?, ?, ?) "
    "USING TIMESTAMP ?"
)
_REACTED = (
    "UPDATE messages USING TIMESTAMP ? SET reactions[?] = ? "
    "WHERE conversation_id = ? AND bucket = ? AND seq = ?"
)


def put_change(change: NumberedChange) -> Statement:
    """Write a change under its number."""
    return _PUT_CHANGE, (
        UUID(change.conversation_id),
        bucket_of(change.change),
        change.change,
        change.seq,
        UUID(change.change_id),
        change.author,
        change.log_position,
        log_timestamp(change.log_position),
    )


def put_change_id(key: ChangeKey, entry: ChangeEntry) -> Statement:
    """Write where the id of a change was used; the first use stays."""
    change_id = UUID(key.change_id)
    return _PUT_ID, (
        UUID(key.conversation_id),
        slot_of(change_id),
        change_id,
        key.author,
        entry.change,
        entry.log_position,
        first_wins_timestamp(entry.log_position),
    )


def put_change_head(conversation: ConversationId, head: ChangeHead) -> Statement:
    """Write up to where readers see changes, apart from where they see messages (rule 25)."""
    position = head.log_position
    values = (UUID(conversation), head.change, position, log_timestamp(position))
    return _PUT_HEAD, values


def put_edit(change: NumberedChange) -> Statement | None:
    """Write the text of an edit among those of its message; None for another kind of change."""
    match change.effect:
        case Edited(content):
            return _PUT_EDIT, (
                *_message(change),
                change.change,
                content or "",
                datetime.fromisoformat(change.changed_at),
                TERMINAL_TIMESTAMP if content is None else log_timestamp(change.log_position),
            )
        case _:
            return None


def blank_edit(change: NumberedChange, of: int) -> Statement:
    """Empty the edit of this number, of the message that a change deletes."""
    return _BLANK_EDIT, (*_message(change), of, "", TERMINAL_TIMESTAMP)


def blank_mentions(deletion: NumberedChange) -> Statement:
    """Empty whom the message mentioned that a change deletes; it may have mentioned nobody."""
    return _BLANK_MENTIONS, (*_message(deletion), "", TERMINAL_TIMESTAMP)


def put_effect(change: NumberedChange) -> list[Statement]:
    """Do to the message what a change says.

    A deletion stays: its empty text is later than any record. The first one decides when.
    """
    message = _message(change)
    timestamp = log_timestamp(change.log_position)
    match change.effect:
        case Edited(None):
            return []
        case Edited(content):
            at = datetime.fromisoformat(change.changed_at)
            return [(_EDITED, (*message, content, at, timestamp))]
        case Deleted():
            at, first = (
                datetime.fromisoformat(change.changed_at),
                first_wins_timestamp(change.log_position),
            )
            return [
                (_DELETED_AT, (*message, at, first)),
                (_BLANK, (*message, "", "", "", "", TERMINAL_TIMESTAMP)),
            ]
        case Reacted(emoji, given):
            number = change.change if given else -change.change
            return [(_REACTED, (timestamp, reaction_key(emoji, change.author), number, *message))]


def reaction_key(emoji: str, username: str) -> str:
    """Return the name of the cell of a reaction; `messages.reactions_in` reads it."""
    return f"{emoji} {username}"


def _message(change: NumberedChange) -> tuple[UUID, int, int]:
    return UUID(change.conversation_id), bucket_of(change.seq), change.seq
