"""Log records for tests, and a short model of what they result in."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from chat4all.domain.ids import ConversationId
from chat4all.domain.records import (
    ChangeRecord,
    DeletionRecord,
    DeliveredRecord,
    EditRecord,
    LogRecord,
    MarkerRecord,
    MessageRecord,
    ReactionRecord,
    Record,
)
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


def change(
    kind: str,
    seq: int = 1,
    *,
    chat: str = CHATS[0],
    author: str = "bruno",
    change_id: str | None = None,
    **more: Any,
) -> bytes:
    """Return a record of this kind: `message_edit`, `message_deletion`, `reaction_added` …."""
    return json.dumps(
        {
            "change_id": change_id or str(uuid.uuid4()),
            "chat_id": chat,
            "author": author,
            "seq": seq,
            "timestamp_utc": "2026-01-31T12:00:01.000Z",
            "type": kind,
            "v": 2,
            **more,
        }
    ).encode()


def edit(content: str, seq: int = 1, **more: Any) -> bytes:
    return change("message_edit", seq, content=content, **more)


def deletion(seq: int = 1, **more: Any) -> bytes:
    return change("message_deletion", seq, **more)


def reaction(emoji: str, seq: int = 1, *, given: bool = True, **more: Any) -> bytes:
    kind = "reaction_added" if given else "reaction_removed"
    return change(kind, seq, emoji=emoji, **more)


Row = tuple[str, str, str]


@dataclass
class Modelled:
    """A message as it is at the end. `reactions` have the change that gave each."""

    sent: MessageRecord
    versions: list[str]
    is_deleted: bool = False
    reactions: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        return (self.sent.message_id, self.sent.sender_id, self.text)

    @property
    def text(self) -> str:
        return "" if self.is_deleted else self.versions[-1]


@dataclass
class Chat:
    """A conversation: its messages, and for each of its changes the message that it changed."""

    messages: list[Modelled] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    used: set[tuple[str, str, str]] = field(default_factory=set)

    def take(self, found: Record) -> None:
        match found:
            case MessageRecord():
                if self._is_first("message", found.message_id, found.sender_id):
                    self.messages.append(Modelled(found, [found.content]))
            case MarkerRecord() | DeliveredRecord():
                pass
            case _:
                if self._is_valid(found) and self._is_first(
                    "change", found.change_id, found.author
                ):
                    self.changes.append(found.seq)
                    self._change(self.messages[found.seq - 1], found)

    def _is_first(self, *key: str) -> bool:
        is_first = key not in self.used
        self.used.add(cast("tuple[str, str, str]", key))
        return is_first

    def _is_valid(self, found: ChangeRecord) -> bool:
        if found.seq > len(self.messages):
            return False
        is_own = self.messages[found.seq - 1].sent.sender_id == found.author
        is_admin = isinstance(found, DeletionRecord) and found.as_admin
        return is_own or is_admin or isinstance(found, ReactionRecord)

    def _change(self, message: Modelled, found: ChangeRecord) -> None:
        if isinstance(found, DeletionRecord):
            message.is_deleted = True
        elif isinstance(found, EditRecord):
            message.versions.append(found.content)
        else:
            message.reactions.pop(key := (found.emoji, found.author), None)
            if found.given:
                message.reactions[key] = len(self.changes)


def modelled(log: Sequence[LogRecord]) -> dict[str, Chat]:
    """Return each conversation: the first use of an id by its owner counts."""
    chats: dict[str, Chat] = {}
    for entry in log:
        try:
            found = decode_record(entry.value)
        except MalformedRecord:
            continue
        chats.setdefault(found.conversation_id, Chat()).take(found)
    return chats


def model(log: Sequence[LogRecord]) -> dict[str, list[Row]]:
    """Return the rows of each conversation."""
    return {
        key: [message.row for message in chat.messages]
        for key, chat in modelled(log).items()
        if chat.messages
    }
