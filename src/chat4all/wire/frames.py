"""Every frame of the live interface, both ways: JSON objects whose `type` is their tag.

A frame of a client is read in two steps: first `envelope`, which says its type and the `ref` that
an error answers to, then the whole as its type.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from chat4all.wire.messages import (
    EXAMPLE_CHAT,
    EXAMPLE_MESSAGE,
    MessageView,
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
"""Messages of one conversation that are sent again; beyond that it is `reload`."""

REF_MAX = 128
"""Characters of a client's own name for a request."""


WATCH_MAX = 200
"""Users whom one connection watches."""


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
        examples=["12.0"],
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


class Watch(msgspec.Struct, tag_field="type", tag="watch"):
    """Be told who of these users is online, now and whenever that changes.

    It replaces the users that you named before; an empty list ends it. Of those who share no
    conversation with you nothing is told.
    """

    usernames: Annotated[list[str], Meta(max_length=WATCH_MAX, examples=[["ana"]])]


ClientFrame: TypeAlias = Auth | Resume | Send | MarkAsRead | SayTyping | Watch
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

    username: str
    session_id: str
    server_time: Annotated[str, Meta(description="RFC 3339, UTC.")]
    heartbeat_s: Annotated[
        int, Meta(description="You hear something at least this often, in seconds.")
    ]
    frame_max: Annotated[int, Meta(description="Bytes of one frame of yours.")]
    resume_max: Annotated[
        int, Meta(description="More missed messages of one conversation are a `reload`.")
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


class ReadFrame(msgspec.Struct, tag_field="type", tag="read"):
    """A member has read up to `seq`."""

    conversation_id: _Conversation
    username: Annotated[str, Meta(examples=["ana"])]
    seq: Annotated[int, Meta(examples=[12])]


class TypingFrame(msgspec.Struct, tag_field="type", tag="typing"):
    """A member is typing. Let it expire after 8 s."""

    conversation_id: _Conversation
    username: Annotated[str, Meta(examples=["ana"])]


PresenceStatus: TypeAlias = Literal["online", "offline"]


class PresenceFrame(msgspec.Struct, tag_field="type", tag="presence", omit_defaults=True):
    """Whether a user whom you watch is connected.

    A user is `offline` 45 s after the last connection ended.
    """

    username: Annotated[str, Meta(examples=["ana"])]
    status: PresenceStatus
    last_seen: (
        Annotated[
            str,
            Meta(
                description="With `offline`: when that user was last connected, as far as it is "
                "known. It is not stored. RFC 3339, UTC."
            ),
        ]
        | None
    ) = None


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


class AcceptedFrame(msgspec.Struct, tag_field="type", tag="accepted"):
    """It is durable; the answer to what you sent with this `ref`."""

    ref: str | None
    message_id: Annotated[str, Meta(examples=[EXAMPLE_MESSAGE])]


class ErrorFrame(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True):
    """What you sent was refused, or failed: the fields of a problem (RFC 9457)."""

    problem: Annotated[
        str, Meta(description="The `type` of the problem.", examples=["/problems/not-found"])
    ]
    title: str
    status: int
    detail: str
    ref: str | None = None
    retry_after: Annotated[int | None, Meta(description="Seconds after which to try again.")] = None
    errors: list[ProblemField] | None = None
    message_id: Annotated[
        str | None, Meta(description="With 503 on sending: retry with this `message_id`.")
    ] = None


class Heartbeat(msgspec.Struct, tag_field="type", tag="heartbeat"):
    """Nothing else was sent for `heartbeat_s`."""


ServerFrame: TypeAlias = (
    Hello
    | Resumed
    | Reload
    | MessageFrame
    | ReadFrame
    | TypingFrame
    | PresenceFrame
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
