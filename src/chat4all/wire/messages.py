"""What clients send and receive. The schemas in /docs are made from these types."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from chat4all.domain.changes import ReactionCount, renamed
from chat4all.domain.ids import UUID_PATTERN, Username
from chat4all.domain.kinds import MENTIONS_MAX, Kind, Reply
from chat4all.domain.messages import CONTENT_MAX, Receipt, Status, StoredMessage
from chat4all.domain.records import MessageRecord
from chat4all.domain.text import CONTROLS
from chat4all.domain.times import format_milliseconds
from chat4all.wire.records import SEQ_MAX

EXAMPLE_CHAT = "550e8400-e29b-41d4-a716-446655440000"
EXAMPLE_MESSAGE = "0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47"
EXAMPLE_CHANGE = "0199f3a5-0b52-7c1d-8f3a-5d9e2c7b4a10"

Uuid = Annotated[
    str,
    Meta(
        pattern=UUID_PATTERN,
        min_length=36,
        max_length=36,
        extra_json_schema={"format": "uuid"},
    ),
]


NewContent = Annotated[
    str,
    Meta(
        # Checked by the domain, in its normal form.
        extra_json_schema={
            "minLength": 1,
            "maxLength": CONTENT_MAX,
            "pattern": f"^[^{CONTROLS}]*$",
        },
        description="The text, 1 to 10,000 characters, with line breaks and tabs. Kept in "
        "Unicode's normal form C; it has to show something, and no control characters.",
        examples=["Olá! 🎉"],
    ),
]


class SendMessage(msgspec.Struct):
    """The body of `POST /v1/messages`. Unknown fields are passed over."""

    content: NewContent | msgspec.UnsetType = msgspec.UNSET
    chat_id: (
        Annotated[Uuid, Meta(description="The conversation.", examples=[EXAMPLE_CHAT])]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    conversation_id: (
        Annotated[Uuid, Meta(description="Another name of `chat_id`.", examples=[EXAMPLE_CHAT])]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    message_id: (
        Annotated[
            Uuid,
            Meta(
                description="Your own id: posting it again is safe, the message appears once.",
                examples=[EXAMPLE_MESSAGE],
            ),
        ]
        | None
    ) = None
    mark_read: Annotated[
        bool,
        Meta(
            description="Sending says that you have read the conversation up to your message. "
            "`false`, for programs, leaves your markers where they are.",
        ),
    ] = True
    kind: Annotated[
        Kind,
        Meta(
            description="Any but `system`, which is the service's own. `content` may be left out "
            "for all but `text`."
        ),
    ] = Kind.TEXT
    payload: Annotated[
        dict[str, msgspec.Raw] | None,
        Meta(description="What the kind asks for; none for `text`. At most 16 KiB."),
    ] = None
    reply_to: (
        Annotated[
            Uuid,
            Meta(
                description="The message of this conversation that it answers. Where several have "
                "this id: your own, else the first.",
                examples=[EXAMPLE_MESSAGE],
            ),
        ]
        | None
    ) = None
    mentions: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=32)], ...],
        Meta(
            max_length=MENTIONS_MAX,
            description="Usernames of members who are to be told.",
            examples=[["ana"]],
        ),
    ] = ()


class Accepted(msgspec.Struct):
    """The log has the message: it will appear, once."""

    message_id: Annotated[str, Meta(examples=[EXAMPLE_MESSAGE])]
    status: Annotated[str, Meta(examples=["accepted"])] = "accepted"


# The one definition of a public message: `message_view`, the JSON that SQLite builds for a page and
# the schema in /docs are derived from these fields. Each, except `status`, is the `StoredMessage`
# attribute of the same name.
class MessageView(msgspec.Struct):
    """A message as its readers see it."""

    conversation_id: Annotated[str, Meta(examples=[EXAMPLE_CHAT])]
    message_id: Annotated[str, Meta(examples=[EXAMPLE_MESSAGE])]
    sender_id: Annotated[str, Meta(description="A username.", examples=["bruno"])]
    content: Annotated[
        str, Meta(description="As it is now; empty once it is deleted.", examples=["Olá! 🎉"])
    ]
    created_at: Annotated[
        str, Meta(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])
    ]
    status: Annotated[
        Status,
        Meta(
            description="`SENT`: the log has it. `DELIVERED`: it is in the history. "
            "`READ`: every other member has read it."
        ),
    ]
    seq: Annotated[
        int | None,
        Meta(
            description="Its number in the conversation: 1, 2, 3 …; null while `SENT`.",
            examples=[1],
        ),
    ]
    edited_at: Annotated[
        str | None, Meta(description="When its text was last edited; null where it never was.")
    ]
    deleted_at: Annotated[
        str | None,
        Meta(
            description="When it was deleted: it loses its text, payload, mentions and reactions."
        ),
    ]
    reactions: Annotated[
        tuple[ReactionCount, ...],
        Meta(description="Those that were given, each with the first ten names."),
    ]
    kind: Annotated[Kind, Meta(description="What it is.", examples=["text"])]
    payload: Annotated[
        dict[str, Any] | None,
        Meta(description="What its kind has besides the text; null for `text`."),
    ]
    reply_to: Annotated[
        Reply | None,
        Meta(
            description="The message that it answers, as that is now: at most the first 200 "
            "characters, empty once it is deleted. Null while this one is `SENT`."
        ),
    ]
    mentions: Annotated[tuple[Username, ...], Meta(description="Usernames.", examples=[["ana"]])]

    def under(self, aliases: Mapping[Username, Username]) -> None:
        """Put other names in the place of some."""
        self.sender_id = aliases.get(Username(self.sender_id), self.sender_id)
        self.reactions = renamed(self.reactions, aliases)
        self.mentions = tuple(aliases.get(name, name) for name in self.mentions)
        self.reply_to = self.reply_to and self.reply_to.under(aliases)


class EditMessage(msgspec.Struct):
    """The body of `PATCH …/messages/{message_id}`. Unknown fields are passed over."""

    content: NewContent
    change_id: (
        Annotated[
            Uuid,
            Meta(
                description="Your own id of this edit: sending it again is safe, it is made once.",
                examples=[EXAMPLE_CHANGE],
            ),
        ]
        | None
    ) = None


class AcceptedChange(msgspec.Struct):
    """The log has the change: it will be made, once."""

    change_id: Annotated[str, Meta(examples=[EXAMPLE_CHANGE])]
    status: Annotated[str, Meta(examples=["accepted"])] = "accepted"


class VersionView(msgspec.Struct):
    """A text that a message had or has."""

    content: Annotated[str, Meta(examples=["Olá! 🎉"])]
    edited_at: Annotated[
        str | None,
        Meta(
            description="RFC 3339, UTC; null for the first one.",
            examples=["2026-01-31T12:00:00.000Z"],
        ),
    ]


class MarkRead(msgspec.Struct):
    """The body of `POST /v1/conversations/{id}/read`."""

    seq: Annotated[
        int, Meta(ge=0, le=SEQ_MAX, description="Everything up to here was read.", examples=[12])
    ]


class ReceiptView(msgspec.Struct):
    """How far a member has come. Times are RFC 3339, UTC; null while nothing was, or unknown."""

    username: Annotated[str, Meta(examples=["ana"])]
    delivered_seq: Annotated[int, Meta(examples=[12])]
    read_seq: Annotated[int, Meta(examples=[12])]
    delivered_at: Annotated[str | None, Meta(examples=["2026-01-31T12:00:00.000Z"])]
    read_at: Annotated[str | None, Meta(examples=["2026-01-31T12:00:00.000Z"])]


def receipt_view(username: Username, receipt: Receipt) -> ReceiptView:
    """Return what readers see of a receipt."""
    delivered, read, delivered_ms, read_ms = receipt
    return ReceiptView(
        username,
        delivered,
        read,
        _time(delivered_ms) if delivered else None,
        _time(read_ms) if read else None,
    )


def _time(ms: int | None) -> str | None:
    if ms is None:
        return None
    try:
        return format_milliseconds(ms)
    except OverflowError:
        return None  # its producer's clock was far off


_STORED = tuple(name for name in MessageView.__struct_fields__ if name != "status")
_WHILE_SENT: dict[str, Any] = {"reactions": ()}
_STATUS = MessageView.__struct_fields__.index("status")
_stored: Callable[[StoredMessage], tuple[Any, ...]] = attrgetter(*_STORED)


def message_view(message: StoredMessage, status: Status) -> MessageView:
    """Return what readers see of a stored message."""
    fields = [*_stored(message)]
    fields.insert(_STATUS, status)
    return MessageView(*fields)


def accepted_view(record: MessageRecord) -> MessageView:
    """Return what its sender sees of a message that the log has and the store does not have yet.

    Fields that the store will set are null, the message that it answers too; it has no reactions.
    """
    fields: dict[str, Any] = {
        name: getattr(record, name, _WHILE_SENT.get(name)) for name in _STORED
    }
    return MessageView(**fields, status=Status.SENT)
