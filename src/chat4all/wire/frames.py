"""Every frame that servers send: JSON objects whose `type` is their tag."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from chat4all.wire.messages import (
    EXAMPLE_CHANGE,
    EXAMPLE_CHAT,
    EXAMPLE_MESSAGE,
    MessageView,
    Uuid,
)
from chat4all.wire.problems import ProblemField

HEARTBEAT_SECONDS = 25
"""After so much silence a server says `heartbeat`."""

FRAME_MAX = 64 * 1024
"""Bytes of one message of a client, in however many frames of the protocol it comes."""

RESUME_MAX = 1_000
"""Messages and changes of one conversation that are sent again; beyond that it is `reload`."""


ConversationField = Annotated[Uuid, Meta(examples=[EXAMPLE_CHAT])]
PositionField = Annotated[
    str,
    Meta(
        description="Everything up to here has been sent to you: `<seq>.<change>`. Keep it, and "
        "send it back with `resume`.",
        examples=["12.3"],
    ),
]


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

    conversation_id: ConversationField
    position: PositionField


class MessageFrame(msgspec.Struct, tag_field="type", tag="message"):
    """A message is stored."""

    message: MessageView | msgspec.Raw
    position: PositionField


class MessageChangedFrame(msgspec.Struct, tag_field="type", tag="message_changed"):
    """A message was edited, deleted or reacted to: this is how it is now."""

    message: MessageView | msgspec.Raw
    position: PositionField


class ReadFrame(msgspec.Struct, tag_field="type", tag="read"):
    """A member has read up to `seq`."""

    conversation_id: ConversationField
    username: Annotated[str, Meta(examples=["ana"])]
    seq: Annotated[int, Meta(examples=[12])]


class DeliveredFrame(msgspec.Struct, tag_field="type", tag="delivered"):
    """A member has received up to `seq`, on one device at least.

    What somebody has read or sent they have received too: that is not told again.
    """

    conversation_id: ConversationField
    username: Annotated[str, Meta(examples=["ana"])]
    seq: Annotated[int, Meta(examples=[12])]


class TypingFrame(msgspec.Struct, tag_field="type", tag="typing"):
    """A member is typing. Let it expire after 8 s."""

    conversation_id: ConversationField
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

    conversation_id: ConversationField
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
    | DeliveredFrame
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
