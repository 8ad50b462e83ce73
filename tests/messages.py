"""Stored messages and batches of them, for tests."""

import uuid
from dataclasses import replace

from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import Head, Marker, StoredMessage
from chat4all.ports.store import IdEntry, IdKey, NumberedRow, StoreBatch
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
