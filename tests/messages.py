"""Stored messages and batches of them, for tests."""

import uuid
from dataclasses import replace

from chat4all.domain.changes import ChangeHead, Effect, NumberedChange
from chat4all.domain.ids import ChangeId, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import Head, Marker, StoredMessage
from chat4all.ports.store import ChangeEntry, ChangeKey, IdEntry, IdKey, NumberedRow, StoreBatch
from tests.records import CHATS


def message(seq: int, chat: ConversationId = CHATS[0], sender: str = "bruno") -> StoredMessage:
    return StoredMessage(
        chat,
        seq,
        MessageId(str(uuid.UUID(int=seq))),
        Username(sender),
        f"text {seq} 🎉\0",
        "2026-01-31T12:00:00.000Z",
        LogPosition(0, 0, 10 * seq),
    )


def batch(*messages: StoredMessage, head: int | None = None) -> StoreBatch:
    chat = messages[0].conversation_id
    last = messages[-1]
    return StoreBatch(
        through=(last.log_position,),
        messages=messages,
        ids={
            IdKey(chat, m.message_id, m.sender_id): IdEntry(m.seq, m.log_position) for m in messages
        },
        heads={} if head == 0 else {chat: Head(head or last.seq, last.log_position)},
    )


def marked(
    chat: ConversationId, delivered: int, read: int, delivered_ms: int, read_ms: int
) -> StoreBatch:
    marker = Marker(chat, Username("ana"), delivered, read, delivered_ms, read_ms)
    return StoreBatch(through=(), markers=[marker])


def at(second: int, one: StoredMessage) -> StoredMessage:
    return replace(one, created_at=f"2026-01-31T12:00:{second:02}.000Z")


def row_of(found: StoredMessage) -> NumberedRow:
    return NumberedRow(found.seq, found.message_id, found.sender_id)


def at_change(change: int) -> LogPosition:
    """Above those of `message`."""
    return LogPosition(0, 0, 100_000 + 10 * change)


def time_of(change: int) -> str:
    return f"2026-01-31T13:{change // 60 % 60:02}:{change % 60:02}.000Z"


def changed(
    number: int,
    effect: Effect,
    seq: int = 1,
    author: str = "bruno",
    chat: ConversationId = CHATS[0],
) -> NumberedChange:
    of = ChangeId(str(uuid.UUID(int=number)))
    return NumberedChange(
        chat, number, seq, of, Username(author), time_of(number), effect, at_change(number)
    )


def changes(*found: NumberedChange, head: int | None = None) -> StoreBatch:
    last = found[-1]
    heads = {last.conversation_id: ChangeHead(head or last.change, last.log_position)}
    return StoreBatch(
        through=(last.log_position,),
        changes=found,
        change_ids={
            ChangeKey(c.conversation_id, c.change_id, c.author): ChangeEntry(
                c.change, c.log_position
            )
            for c in found
        },
        change_heads={} if head == 0 else heads,
    )
