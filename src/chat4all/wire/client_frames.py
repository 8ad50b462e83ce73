"""Every frame that clients send: JSON objects whose `type` is their tag.

A frame is read in two steps: first `envelope`, which says its type and the `ref` that an error
answers to, then the whole as its type.
"""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from chat4all.domain.changes import EMOJIS
from chat4all.domain.ids import ConversationId
from chat4all.domain.ids import conversation_id as canonical
from chat4all.wire.frames import ConversationField
from chat4all.wire.messages import (
    EXAMPLE_CHANGE,
    EXAMPLE_CHAT,
    EXAMPLE_MESSAGE,
    NewContent,
    SendMessage,
    Uuid,
)
from chat4all.wire.nesting import NESTING_MAX, is_nested_too_deeply
from chat4all.wire.records import SEQ_MAX

REF_MAX = 128
"""Characters of a client's own name for a request."""

WATCH_MAX = 200
"""Users whom one connection watches."""


class MalformedFrame(ValueError):
    """A frame that cannot be understood; the text says why, without its content."""


_Ref = Annotated[
    str, Meta(max_length=REF_MAX, description="Yours; the answer repeats it.", examples=["1"])
]


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
    ref: _Ref | None = None


class Send(SendMessage, tag_field="type", tag="send", kw_only=True):
    """Send a message, as `POST /v1/messages` does."""

    ref: _Ref | None = None


class MarkAsRead(msgspec.Struct, tag_field="type", tag="read"):
    """Move your own read marker, as `POST /v1/conversations/{id}/read` does."""

    conversation_id: ConversationField
    seq: Annotated[int, Meta(ge=0, le=SEQ_MAX, examples=[12])]
    ref: _Ref | None = None


class SayTyping(msgspec.Struct, tag_field="type", tag="typing"):
    """Say that you are typing; again every few seconds while you are."""

    conversation_id: ConversationField
    ref: _Ref | None = None


class ChangeOf(msgspec.Struct, kw_only=True):
    """What all frames that change a message have in common."""

    conversation_id: ConversationField
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


class Watch(msgspec.Struct, tag_field="type", tag="watch"):
    """Be told who of these users is online, now and whenever that changes.

    It replaces the users that you named before; an empty list ends it. Of those who share no
    conversation with you nothing is told.
    """

    usernames: Annotated[list[str], Meta(max_length=WATCH_MAX, examples=[["ana"]])]
    ref: _Ref | None = None


ClientFrame: TypeAlias = (
    Auth | Resume | Send | Edit | Delete | React | Unreact | MarkAsRead | SayTyping | Watch
)
"""Everything that a client may send."""


class Envelope(msgspec.Struct):
    """What all frames of clients have in common."""

    type: str
    ref: _Ref | None = None


class _Conversation(msgspec.Struct):
    # Of any type: what is wrong with them is answered by who reads the whole frame.
    conversation_id: Any = None
    chat_id: Any = None


_envelope = msgspec.json.Decoder(Envelope)
_conversation = msgspec.json.Decoder(_Conversation)


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


def conversation_of(frame: bytes) -> ConversationId | None:
    """Return the conversation that a frame is about, if it names one; `envelope` has read it."""
    said = _conversation.decode(frame)
    try:
        return canonical(said.conversation_id or said.chat_id)
    except (ValueError, TypeError, AttributeError):
        return None
