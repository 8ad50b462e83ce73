"""Conversations and messages as the client returns them."""

from typing import Any

from chat4all.client import ListedConversation, Member, Message, OwnFile


def listed(
    number: int,
    *,
    title: str | None = None,
    peer: str | None = None,
    members: tuple[str, ...] = ("ana", "bruno"),
    **fields: Any,
) -> ListedConversation:
    made: dict[str, Any] = {
        "conversation_id": f"00000000-0000-4000-8000-{number:012}",
        "type": "private" if peer else "group",
        "title": title,
        "members": tuple(Member(username=name, role="member") for name in members),
        "metadata": {},
        "created_at": "2026-01-31T12:00:00.000Z",
        "member_count": len(members),
        "peer": peer,
        "role": "member",
        "last_message": None,
        "unread": 0,
        "position": "0.0",
        "unread_mentions": (),
    }
    return ListedConversation(**made | fields)


def message(seq: int, content: str = "Olá!", **fields: Any) -> Message:
    made: dict[str, Any] = {
        "conversation_id": "00000000-0000-4000-8000-000000000001",
        "message_id": f"00000000-0000-4000-9000-{seq:012}",
        "sender_id": "ana",
        "content": content,
        "created_at": "2026-01-31T12:00:00.000Z",
        "status": "DELIVERED",
        "seq": seq,
        "edited_at": None,
        "deleted_at": None,
        "reactions": (),
        "kind": "text",
        "payload": None,
        "reply_to": None,
        "mentions": (),
    }
    return Message(**made | fields)


def own_file(number: int, **fields: Any) -> OwnFile:
    made: dict[str, Any] = {
        "file_id": f"00000000-0000-4000-a000-{number:012}",
        "name": "praia.jpg",
        "size": 48_213,
        "type": "image/jpeg",
        "state": "ready",
        "created_at": "2026-01-31T12:00:00.000Z",
        "in_use": False,
        "expires_at": "2026-02-01T12:00:00.000Z",
        "messages": (),
    }
    return OwnFile(**made | fields)
