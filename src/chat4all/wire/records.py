"""The records of the log, as JSON in UTF-8.

A message's record has the original fields: `message_id`, `chat_id`, `sender_id`, `content`,
`timestamp_utc`, `status: "SENT"`, `type: "chat_message"`. Fields are only ever added.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, assert_never

import msgspec

from chat4all.domain.changes import EMOJIS
from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import (
    ChangeId,
    ConversationId,
    MessageId,
    Username,
    change_id,
    conversation_id,
    message_id,
)
from chat4all.domain.kinds import MENTIONS_MAX, PAYLOAD_MAX, Kind
from chat4all.domain.messages import CONTENT_MAX
from chat4all.domain.records import (
    ChangeRecord,
    DeletionRecord,
    DeliveredRecord,
    EditRecord,
    Headers,
    MarkerRecord,
    MessageRecord,
    ReactionRecord,
    Record,
)
from chat4all.domain.times import format_utc
from chat4all.wire.decoding import without_value
from chat4all.wire.nesting import NESTING_MAX, is_nested_too_deeply
from chat4all.wire.payloads import NUMBER_MAX, read_payload

Id = TypeVar("Id", ConversationId, MessageId, ChangeId)

RECORD_VERSION = 2
"""The newest record version that this release understands. A missing `v` is the original, 1.

A record says the lowest version that has all its fields. Below that they are passed over, as every
earlier release did: two routers must not judge one record differently (EXACTNESS 22).
"""

_ORIGINAL, _V2 = 1, 2

SENDER_MAX = 256
"""Characters of a `sender_id`: other producers may use longer names than ours."""

SEQ_MAX = NUMBER_MAX

DELIVERED_MAX = 100
"""Members of one record that says what was delivered."""

# Narrower than `datetime.fromisoformat`, which accepts more with every Python release: two routers
# on different releases must not judge one record differently. Only the calendar is left to it.
_TIME = re.compile(
    r"(?!0000)\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(?P<fraction>[.]\d{1,9})?(?P<zone>Z|[+-]([01]\d|2[0-3]):?[0-5]\d)?\Z",
    re.ASCII,
)

_Seq = Annotated[int, msgspec.Meta(ge=1, le=SEQ_MAX)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=SENDER_MAX)]


class MalformedRecord(ValueError):
    """A record that can never be processed; the text says why, without its content."""


class _Envelope(msgspec.Struct):
    """The fields of every record that tell its kind and version; decoded first."""

    type: str
    # Bounded: what becomes of an integer of very many digits is a setting of the interpreter.
    v: _Seq = _ORIGINAL


class _ChatMessage(msgspec.Struct, omit_defaults=True):
    message_id: str
    chat_id: str
    sender_id: _Name
    content: Annotated[str, msgspec.Meta(max_length=CONTENT_MAX)]
    timestamp_utc: str
    # Without defaults: `omit_defaults` would leave out two of the original seven fields.
    status: str
    type: str
    v: int = _ORIGINAL
    fresh: bool = False
    moved: bool = False


class _ChatMessageV2(_ChatMessage, omit_defaults=True):
    """With the fields that exist at version 2 only."""

    mark_read: bool = True
    kind: Kind = Kind.TEXT
    # Its values are not read by the decoder, whose idea of numbers is the interpreter's.
    payload: dict[str, msgspec.Raw] | None = None
    reply_seq: _Seq | None = None
    mentions: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=MENTIONS_MAX)] = ()


_OF_V2 = (True, Kind.TEXT, None, None, ())
"""What the fields of version 2 are in a record that says none of them."""

_FIRST_OF_V2 = MessageRecord._fields.index("mark_read")


class _ReadMarker(msgspec.Struct):
    chat_id: str
    username: _Name
    read_seq: Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]
    delivered_seq: Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]
    type: Literal["read_marker"] = "read_marker"
    v: int = _ORIGINAL


class _Delivered(msgspec.Struct):
    """It exists at version 2 only."""

    chat_id: str
    delivered: Annotated[dict[_Name, _Seq], msgspec.Meta(max_length=DELIVERED_MAX)]
    type: Literal["delivered_markers"] = "delivered_markers"
    v: int = _V2


class _Change(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What the records of all changes have; they exist at version 2 only."""

    change_id: str
    chat_id: str
    author: _Name
    seq: _Seq
    timestamp_utc: str
    type: str
    v: int
    fresh: bool = False
    moved: bool = False


class _Edit(_Change, omit_defaults=True, kw_only=True):
    content: Annotated[str, msgspec.Meta(max_length=CONTENT_MAX)]


class _Deletion(_Change, omit_defaults=True, kw_only=True):
    as_admin: bool = False


class _Reaction(_Change, omit_defaults=True, kw_only=True):
    emoji: str


_OUR_FORM = len("2026-01-31T23:59:59.999Z")

_encoder = msgspec.json.Encoder()
_header_decoder = msgspec.json.Decoder(tuple[tuple[str, bytes | None], ...])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_envelopes = msgspec.json.Decoder(_Envelope)
_chat_messages = msgspec.json.Decoder(_ChatMessage)
_chat_messages_v2 = msgspec.json.Decoder(_ChatMessageV2)
_read_markers = msgspec.json.Decoder(_ReadMarker)
_delivered = msgspec.json.Decoder(_Delivered)
_edits = msgspec.json.Decoder(_Edit)
_deletions = msgspec.json.Decoder(_Deletion)
_reactions = msgspec.json.Decoder(_Reaction)


def encode_record(record: Record) -> bytes:
    """Return the log record's value: JSON in UTF-8."""
    match record:
        case MessageRecord():
            message = _ChatMessageV2(
                message_id=record.message_id,
                chat_id=record.conversation_id,
                sender_id=record.sender_id,
                content=record.content,
                timestamp_utc=record.created_at,
                status="SENT",
                type="chat_message",
                fresh=record.fresh,
                moved=record.moved,
            )
            if record[_FIRST_OF_V2:] != _OF_V2:
                message.v, message.mark_read = _V2, record.mark_read
                message.kind, message.reply_seq = record.kind, record.reply_seq
                message.mentions = record.mentions
                if (payload := record.payload) is not None:
                    values = {key: _encoder.encode(value) for key, value in payload.items()}
                    message.payload = {key: msgspec.Raw(raw) for key, raw in values.items()}
            return _encoder.encode(message)
        case MarkerRecord():
            return _encoder.encode(
                _ReadMarker(
                    chat_id=record.conversation_id,
                    username=record.username,
                    read_seq=record.read_seq,
                    delivered_seq=record.delivered_seq,
                )
            )
        case DeliveredRecord():
            delivered = {str(name): seq for name, seq in record.delivered.items()}
            return _encoder.encode(_Delivered(record.conversation_id, delivered))
        case EditRecord():
            edit = _Edit(type="message_edit", content=record.content, **_said(record))
            return _encoder.encode(edit)
        case DeletionRecord():
            deletion = _Deletion(type="message_deletion", as_admin=record.as_admin, **_said(record))
            return _encoder.encode(deletion)
        case ReactionRecord():
            kind = "reaction_added" if record.given else "reaction_removed"
            return _encoder.encode(_Reaction(type=kind, emoji=record.emoji, **_said(record)))
        case _:
            assert_never(record)


def _said(record: ChangeRecord) -> dict[str, Any]:
    """Return what the records of all changes say, by the names of the wire."""
    return {
        "change_id": record.change_id,
        "chat_id": record.conversation_id,
        "author": record.author,
        "seq": record.seq,
        "timestamp_utc": record.changed_at,
        "v": _V2,
        "fresh": record.fresh,
        "moved": record.moved,
    }


def encode_headers(headers: Headers) -> bytes | None:
    """Return headers as a store keeps them: JSON, or None where there are none."""
    return _encoder.encode(headers) if headers else None


def decode_headers(stored: bytes | None) -> Headers:
    """Return the headers that a store keeps."""
    return () if stored is None else _header_decoder.decode(stored)


def mark_moved(value: bytes) -> bytes:
    """Return the value to append to the right partition when a record was in a wrong one.

    All fields are kept, also those unknown to this release. `value` is one that `decode_record`
    accepts.
    """
    return _encoder.encode(_fields.decode(value) | {"moved": True})


def decode_record(value: bytes) -> Record:
    """Read a log record, of any producer. The answer depends on the bytes alone.

    Raises `MalformedRecord` for one that can never be processed, and `RouterStopped` for one of a
    later version: a router that skipped it would number what follows differently from one that
    understands it.
    """
    if is_nested_too_deeply(value):
        raise MalformedRecord(f"nested more than {NESTING_MAX} levels deep")
    try:
        if not value.isascii():
            value.decode()  # the parser would pass over broken text in fields that it does not know
        envelope = _envelopes.decode(value)
        if envelope.v > RECORD_VERSION:
            raise RouterStopped(
                f"a record of version {envelope.v} is in the log, this release knows "
                f"{RECORD_VERSION}: update the router"
            )
        match envelope.type:
            case "chat_message":
                if envelope.v < _V2:
                    return _message(_chat_messages.decode(value))
                return _message_v2(_chat_messages_v2.decode(value))
            case "read_marker":
                return _marker(_read_markers.decode(value))
            case _ if envelope.v == _ORIGINAL:
                raise MalformedRecord("unknown type")
            case "delivered_markers":
                return _delivered_markers(_delivered.decode(value))
            case kind:
                return _decode_change(kind, value, envelope.v)
    except msgspec.MsgspecError as error:
        # msgspec's text names the field and the rule, and no value but one that is not in a list.
        raise MalformedRecord(without_value(str(error))) from None
    except UnicodeDecodeError:
        raise MalformedRecord("not UTF-8") from None


def _decode_change(kind: str, value: bytes, version: int) -> ChangeRecord:
    match kind:
        case "message_edit":
            edit = _edits.decode(value)
            return EditRecord(**_change(edit), content=edit.content)
        case "message_deletion":
            deletion = _deletions.decode(value)
            return DeletionRecord(**_change(deletion), as_admin=deletion.as_admin)
        case "reaction_added" | "reaction_removed":
            reaction = _reactions.decode(value)
            if reaction.emoji not in EMOJIS:
                raise MalformedRecord("emoji is none of those that there are")
            given = kind == "reaction_added"
            return ReactionRecord(**_change(reaction), emoji=reaction.emoji, given=given)
        case _:
            # Of a later release, whose routers give it a number.
            raise RouterStopped(
                f"a record of version {version} and a type that this release does not know "
                "is in the log: update the router"
            )


def _message_v2(fields: _ChatMessageV2) -> MessageRecord:
    return _message(fields)._replace(
        mark_read=fields.mark_read,
        kind=fields.kind,
        payload=None if fields.payload is None else _payload(fields.payload),
        reply_seq=fields.reply_seq,
        mentions=tuple(dict.fromkeys(map(Username, fields.mentions))),
    )


def _payload(fields: dict[str, msgspec.Raw]) -> dict[str, Any]:
    payload = _encoder.encode(fields)
    if len(payload) > PAYLOAD_MAX:
        raise MalformedRecord("payload is too large")
    try:
        return read_payload(payload)
    except ValueError:
        raise MalformedRecord("payload has a number that is too large") from None


def _message(fields: _ChatMessage) -> MessageRecord:
    return MessageRecord(
        conversation_id=_id(conversation_id, fields.chat_id, "chat_id"),
        message_id=_id(message_id, fields.message_id, "message_id"),
        sender_id=Username(fields.sender_id),
        content=fields.content,
        created_at=_utc_millis(fields.timestamp_utc),
        fresh=fields.fresh,
        moved=fields.moved,
    )


def _marker(fields: _ReadMarker) -> MarkerRecord:
    return MarkerRecord(
        conversation_id=_id(conversation_id, fields.chat_id, "chat_id"),
        username=Username(fields.username),
        delivered_seq=fields.delivered_seq,
        read_seq=fields.read_seq,
    )


def _delivered_markers(fields: _Delivered) -> DeliveredRecord:
    return DeliveredRecord(
        conversation_id=_id(conversation_id, fields.chat_id, "chat_id"),
        delivered={Username(name): seq for name, seq in fields.delivered.items()},
    )


def _change(fields: _Change) -> dict[str, Any]:
    """Return what all changes have, by the names of the domain."""
    return {
        "conversation_id": _id(conversation_id, fields.chat_id, "chat_id"),
        "change_id": _id(change_id, fields.change_id, "change_id"),
        "author": Username(fields.author),
        "seq": fields.seq,
        "changed_at": _utc_millis(fields.timestamp_utc),
        "fresh": fields.fresh,
        "moved": fields.moved,
    }


def _id(canonical: Callable[[str], Id], text: str, field: str) -> Id:
    try:
        return canonical(text)
    except ValueError:
        raise MalformedRecord(f"{field} is not a UUID") from None


def _utc_millis(text: str) -> str:
    """Return a time in the form that the store keeps; one without an offset is UTC.

    Our own records have that form already; other producers may write microseconds or an offset.
    """
    shape = _TIME.match(text)
    try:
        if shape is None:
            raise ValueError
        when = datetime.fromisoformat(text)
        if shape["zone"] == "Z" and len(text) == _OUR_FORM and text[10] == "T":
            return text
        return format_utc(when if when.tzinfo else when.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise MalformedRecord("timestamp_utc is not an ISO 8601 time") from None
