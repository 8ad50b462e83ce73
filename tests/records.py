"""Log records for tests, and a ten-line model of the rows that they result in."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from chat4all.domain.ids import ConversationId
from chat4all.domain.records import LogRecord, MessageRecord
from chat4all.wire.records import MalformedRecord, decode_record

CHATS = [ConversationId(str(uuid.UUID(int=n))) for n in range(1, 5)]


def record(
    content: str = "x",
    *,
    chat: str = CHATS[0],
    sender: str = "bruno",
    message_id: str | None = None,
    **more: Any,
) -> bytes:
    return json.dumps(
        {
            "message_id": message_id or str(uuid.uuid4()),
            "chat_id": chat,
            "sender_id": sender,
            "content": content,
            "timestamp_utc": "2026-01-31T12:00:00.000Z",
            "status": "SENT",
            "type": "chat_message",
            **more,
        }
    ).encode()


Row = tuple[str, str, str]


def model(log: Sequence[LogRecord]) -> dict[str, list[Row]]:
    """Return the rows of each conversation: the first use of an id by its sender counts."""
    rows: dict[str, list[Row]] = {}
    seen = set()
    for entry in log:
        try:
            found = decode_record(entry.value)
        except MalformedRecord:
            continue
        if isinstance(found, MessageRecord):
            key = (found.conversation_id, found.message_id, found.sender_id)
            if key not in seen:
                seen.add(key)
                row = (found.message_id, found.sender_id, found.content)
                rows.setdefault(found.conversation_id, []).append(row)
    return rows
