"""Live events, as JSON: between the processes of one machine, and on the topic `chat_events`.

Each kind has a tag. An announcement with a kind that this release does not know is a
`MalformedEvent`: listeners read the store instead.
"""

from collections.abc import Iterable
from typing import TypeAlias, assert_never

import msgspec

from chat4all.domain.events import (
    LiveEvent,
    MarkerMoved,
    MembershipsChanged,
    MessageChanged,
    MessageStored,
    PresenceAsked,
    PresenceSeen,
    Typing,
)
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Marker, StoredMessage
from chat4all.wire.nesting import NESTING_MAX, is_nested_too_deeply


class MalformedEvent(ValueError):
    """An announcement that cannot be read; the text says why, without its content."""


class _MessageStored(msgspec.Struct, tag_field="type", tag="message"):
    message: StoredMessage


class _MarkerMoved(msgspec.Struct, tag_field="type", tag="marker"):
    marker: Marker


class _MessageChanged(msgspec.Struct, tag_field="type", tag="message_changed"):
    conversation_id: ConversationId
    seq: int
    change: int


class _Typing(msgspec.Struct, tag_field="type", tag="typing"):
    conversation_id: ConversationId
    username: Username


class _PresenceAsked(msgspec.Struct, tag_field="type", tag="presence_asked"):
    gateway: str
    usernames: list[Username]
    is_new: bool


class _PresenceSeen(msgspec.Struct, tag_field="type", tag="presence_seen"):
    gateway: str
    seen_ms: dict[Username, int]


class _MembershipsChanged(msgspec.Struct, tag_field="type", tag="memberships_changed"):
    username: Username


_Event: TypeAlias = (
    _MessageStored
    | _MarkerMoved
    | _MessageChanged
    | _Typing
    | _PresenceAsked
    | _PresenceSeen
    | _MembershipsChanged
)

_encoder = msgspec.json.Encoder()
_events = msgspec.json.Decoder(list[_Event])


def encode_event(event: LiveEvent) -> bytes:
    """Return one event: a JSON object in UTF-8."""
    encoded: _Event
    match event:
        case MessageStored(message):
            encoded = _MessageStored(message)
        case MarkerMoved(marker):
            encoded = _MarkerMoved(marker)
        case MessageChanged(conversation, seq, change):
            encoded = _MessageChanged(conversation, seq, change)
        case Typing(conversation, username):
            encoded = _Typing(conversation, username)
        case PresenceAsked(gateway, usernames, is_new):
            encoded = _PresenceAsked(gateway, list(usernames), is_new)
        case PresenceSeen(gateway, seen_ms):
            encoded = _PresenceSeen(gateway, dict(seen_ms))
        case MembershipsChanged(username):
            encoded = _MembershipsChanged(username)
        case _:
            assert_never(event)
    return _encoder.encode(encoded)


def join_events(encoded: Iterable[bytes]) -> bytes:
    """Return one announcement, as `decode_events` reads it, of encoded events."""
    return b"[" + b",".join(encoded) + b"]"


def decode_events(raw: bytes) -> list[LiveEvent]:
    """Return the events of one announcement, in order. Raises `MalformedEvent`."""
    if is_nested_too_deeply(raw):
        raise MalformedEvent(f"nested more than {NESTING_MAX} levels deep")
    try:
        return [_event(decoded) for decoded in _events.decode(raw)]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedEvent(
            str(error) if isinstance(error, msgspec.MsgspecError) else "not JSON"
        ) from None


def _event(decoded: _Event) -> LiveEvent:
    event: LiveEvent
    match decoded:
        case _MessageStored(message=message):
            event = MessageStored(message)
        case _MarkerMoved(marker=marker):
            event = MarkerMoved(marker)
        case _MessageChanged(conversation_id=conversation, seq=seq, change=change):
            event = MessageChanged(conversation, seq, change)
        case _Typing(conversation_id=conversation, username=username):
            event = Typing(conversation, username)
        case _PresenceAsked(gateway=gateway, usernames=usernames, is_new=is_new):
            event = PresenceAsked(gateway, usernames, is_new)
        case _PresenceSeen(gateway=gateway, seen_ms=seen_ms):
            event = PresenceSeen(gateway, seen_ms)
        case _MembershipsChanged(username=username):
            event = MembershipsChanged(username)
        case _:
            assert_never(decoded)
    return event
