"""Every frame of the live interface, both ways: JSON objects whose `type` is their tag.

A frame of a client is read in two steps: first `envelope`, which says its type and the `ref` that
an error answers to, then the whole as its type.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from chat4all.domain.changes import EMOJIS
from chat4all.wire.messages import (
    EXAMPLE_CHANGE,
    EXAMPLE_CHAT,
    EXAMPLE_MESSAGE,
    MessageView,
    NewContent,
    SendMessage,
    Uuid,
)
from chat4all.wire.nesting import NESTING_MAX, is_nested_too_deeply
from chat4all.wire.problems import ProblemField
from chat4all.wire.records import SEQ_MAX

HEARTBEAT_SECONDS = 25
"""After so much silence a server says `heartbeat`."""

FRAME_MAX = 64 * 1024
"""Bytes of one message of a client, in however many frames of the protocol it comes."""

RESUME_MAX = 1_000
"""Messages and changes of one conversation that are sent again; beyond that it is `reload`."""

REF_MAX = 128
"""Characters of a client's own name for a request."""


class MalformedFrame(ValueError):
    """A frame that cannot be understood; the text says why, without its content."""


_Ref = Annotated[
    str, Meta(max_length=REF_MAX, description="Yours; the answer repeats it.", examples=["1"])
]
_Conversation = Annotated[Uuid, Meta(examples=[EXAMPLE_CHAT])]
_Position = Annotated[
    str,
    Meta(
        description="Everything up to here has been sent to you: `<seq>.<change>`. Keep it, and "
        "send it back with `resume`.",
        examples=["12.3"],
    ),
]


# What clients send.


class Auth(msgspec.Struct, tag_field="type", tag="auth"):
    """The token: first of all where it is not in the request, later to renew it."""

    token: Annotated[str, Meta(description="An access token.")]


class Resume(msgspec.Struct, tag_field="type", tag="resume"):
    """Follow all of your conversations, and send what you have missed of these."""

    positions: Annotated[
        dict[str, str],
        Meta(description="How far you have each conversation.", examples=[{EXAMPLE_CHAT: "12.0"}]),
    ] = {}
    generation: Annotated[
        str | None, Meta(description="That of the `hello` under which you got the positions.")
    ] = None
    more: Annotated[bool, Meta(description="Whether another such frame follows.")] = False


class Send(SendMessage, tag_field="type", tag="send", kw_only=True):
    """Send a message, as `POST /v1/messages` does."""

    ref: _Ref | None = None


class MarkAsRead(msgspec.Struct, tag_field="type", tag="read"):
    """Move your own read marker, as `POST /v1/conversations/{id}/read` does."""

    conversation_id: _Conversation
    seq: Annotated[int, Meta(ge=0, le=SEQ_MAX, examples=[12])]


class SayTyping(msgspec.Struct, tag_field="type", tag="typing"):
    """Say that you are typing; again every few seconds while you are."""

    conversation_id: _Conversation


class ChangeOf(msgspec.Struct, kw_only=True):
    """What all frames that change a message have in common."""

    conversation_id: _Conversation
    message_id: Annotated[Uuid, Meta(examples=[EXAMPLE_MESSAGE])]
    seq: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=SEQ_MAX,
                description="The number of the message, which says which one is meant where "
                "several members have used its id. Without it: your own, else the first.",
                examples=[12],
            ),
        ]
        | None
    ) = None
    change_id: (
        Annotated[
            Uuid,
            Meta(
                description="Your own id of this change: sending it again is safe, it is made "
                "once.",
                examples=[EXAMPLE_CHANGE],
            ),
        ]
        | None
    ) = None
    ref: _Ref | None = None


_Emoji = Annotated[
    str,
    Meta(
        description="One of the reactions that there are.",
        examples=[EMOJIS[0]],
        # Checked by the domain, with or without a variation selector.
        extra_json_schema={"enum": [*EMOJIS]},
    ),
]


class Edit(ChangeOf, tag_field="type", tag="edit", kw_only=True):
    """Give your own message another text, as `PATCH …/messages/{message_id}` does."""

    content: NewContent


class Delete(ChangeOf, tag_field="type", tag="delete", kw_only=True):
    """Delete a message, as `DELETE …/messages/{message_id}` does."""


class React(ChangeOf, tag_field="type", tag="react", kw_only=True):
    """Give a reaction, as `PUT …/reactions/{emoji}` does."""

    emoji: _Emoji


class Unreact(ChangeOf, tag_field="type", tag="unreact", kw_only=True):
    """Take a reaction back, as `DELETE …/reactions/{emoji}` does."""

    emoji: _Emoji


ClientFrame: TypeAlias = (
    Auth | Resume | Send | Edit | Delete | React | Unreact | MarkAsRead | SayTyping
)
"""Everything that a client may send."""


class Envelope(msgspec.Struct):
    """What all frames of clients have in common."""

    type: str
    ref: _Ref | None = None


_envelope = msgspec.json.Decoder(Envelope)


def envelope(frame: bytes) -> Envelope:
    """Return a frame's type and `ref`. Raises `MalformedFrame`."""
    if is_nested_too_deeply(frame):
        raise MalformedFrame(f"nested deeper than {NESTING_MAX}")
    try:
        return _envelope.decode(frame)
    except msgspec.ValidationError as error:
        raise MalformedFrame(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedFrame("not JSON") from None


# What servers send.


class Hello(msgspec.Struct, tag_field="type", tag="hello", omit_defaults=True):
    """You are signed in."""

    username: Annotated[str, Meta(examples=["ana"])]
    session_id: Annotated[str, Meta(examples=["0199f3a0-2d6b-7a51-8c0f-6e4b1d9a7f35"])]
    server_time: Annotated[
        str, Meta(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])
    ]
    heartbeat_s: Annotated[
        int,
        Meta(
            description="You hear something at least this often, in seconds.",
            examples=[HEARTBEAT_SECONDS],
        ),
    ]
    frame_max: Annotated[
        int, Meta(description="Bytes of one frame of yours.", examples=[FRAME_MAX])
    ]
    resume_max: Annotated[
        int,
        Meta(
            description="More missed messages and changes of one conversation are a `reload`.",
            examples=[RESUME_MAX],
        ),
    ]
    generation: Annotated[
        str | None,
        Meta(description="Positions of another generation are of no use: it is a `reload` of all."),
    ] = None


class Resumed(msgspec.Struct, tag_field="type", tag="resumed"):
    """You have everything, and get the rest as it happens."""

    markers: Annotated[
        dict[str, int],
        Meta(
            description="How far you have read each conversation; take the greater of it and what "
            "you know.",
            examples=[{EXAMPLE_CHAT: 12}],
        ),
    ]


class Reload(msgspec.Struct, tag_field="type", tag="reload"):
    """What you have of a conversation is not whole: read its history anew.

    What is live goes on after `position`.
    """

    conversation_id: _Conversation
    position: _Position


class MessageFrame(msgspec.Struct, tag_field="type", tag="message"):
    """A message is stored."""

    message: MessageView | msgspec.Raw
    position: _Position


class MessageChangedFrame(msgspec.Struct, tag_field="type", tag="message_changed"):
    """A message was edited, deleted or reacted to: this is how it is now."""

    message: MessageView | msgspec.Raw
    position: _Position


class ReadFrame(msgspec.Struct, tag_field="type", tag="read"):
    """A member has read up to `seq`."""

    conversation_id: _Conversation
    username: Annotated[str, Meta(examples=["ana"])]
    seq: Annotated[int, Meta(examples=[12])]


class TypingFrame(msgspec.Struct, tag_field="type", tag="typing"):
    """A member is typing. Let it expire after 8 s."""

    conversation_id: _Conversation
    username: Annotated[str, Meta(examples=["ana"])]


ConversationEvent: TypeAlias = Literal["added", "changed", "removed"]


class ConversationFrame(msgspec.Struct, tag_field="type", tag="conversation", omit_defaults=True):
    """You are in a conversation that you did not name, or its title or members changed.

    Or you are not in it any more: nothing more of it comes then.
    """

    conversation_id: _Conversation
    event: ConversationEvent
    position: (
        Annotated[
            str,
            Meta(
                description="For `added` as in `reload`: the history has everything up to here.",
                examples=["12.0"],
            ),
        ]
        | None
    ) = None


class AcceptedFrame(msgspec.Struct, tag_field="type", tag="accepted", omit_defaults=True):
    """It is durable; the answer to what you sent with this `ref`."""

    ref: Annotated[str, Meta(examples=["1"])] | None
    message_id: (
        Annotated[str, Meta(description="Of what was sent.", examples=[EXAMPLE_MESSAGE])] | None
    ) = None
    change_id: (
        Annotated[
            str,
            Meta(
                description="Of an edit, a deletion or a reaction.",
                examples=[EXAMPLE_CHANGE],
            ),
        ]
        | None
    ) = None


class ErrorFrame(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True):
    """What you sent was refused, or failed: the fields of a problem (RFC 9457)."""

    problem: Annotated[
        str, Meta(description="The `type` of the problem.", examples=["/problems/not-found"])
    ]
    title: Annotated[str, Meta(examples=["Not found"])]
    status: Annotated[int, Meta(examples=[404])]
    detail: Annotated[str, Meta(examples=["no such conversation, or you are not in it"])]
    ref: str | None = None
    retry_after: Annotated[int | None, Meta(description="Seconds after which to try again.")] = None
    errors: list[ProblemField] | None = None
    message_id: Annotated[
        str | None, Meta(description="With 503 on sending: retry with this `message_id`.")
    ] = None
    change_id: Annotated[
        str | None,
        Meta(description="With 503 on editing, deleting and reacting: retry with this id."),
    ] = None


class Heartbeat(msgspec.Struct, tag_field="type", tag="heartbeat"):
    """Nothing else was sent for `heartbeat_s`."""


ServerFrame: TypeAlias = (
    Hello
    | Resumed
    | Reload
    | MessageFrame
    | MessageChangedFrame
    | ReadFrame
    | TypingFrame
    | ConversationFrame
    | AcceptedFrame
    | ErrorFrame
    | Heartbeat
)
"""Everything that a server may send."""

_encoder = msgspec.json.Encoder()
encode_frame = _encoder.encode
"""Returns the JSON of a server's frame."""

HEARTBEAT = encode_frame(Heartbeat())
