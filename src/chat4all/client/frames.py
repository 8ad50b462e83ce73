"""Frames of the server as the client reads them: what it does not know is passed over."""

from typing import get_args

import msgspec

from chat4all.client.errors import Defect
from chat4all.client.views import Message
from chat4all.domain.position import Position
from chat4all.wire import frames as wire


class MessageFrame(wire.MessageFrame, tag="message"):
    """A message is stored."""

    message: Message


class MessageChangedFrame(wire.MessageChangedFrame, tag="message_changed"):
    """A message has changed."""

    message: Message


class PresenceFrame(wire.PresenceFrame, tag="presence"):
    """A user who is watched is there or not."""

    status: str  # type: ignore[assignment]


class ConversationFrame(wire.ConversationFrame, tag="conversation"):
    """A conversation was joined, left or changed."""

    event: str  # type: ignore[assignment]


Frame = (
    wire.Hello
    | wire.Resumed
    | wire.Reload
    | MessageFrame
    | MessageChangedFrame
    | wire.ReadFrame
    | wire.DeliveredFrame
    | wire.TypingFrame
    | PresenceFrame
    | ConversationFrame
    | wire.ErrorFrame
)
"""What a client acts on; answers to what it sent and heartbeats are not among it."""


class _Typed(msgspec.Struct):
    type: str = ""


_types = msgspec.json.Decoder(_Typed)
_decoders = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind) for kind in get_args(Frame)
}


def read_position(text: str) -> Position:
    """Return a position that the server says. Raises `Defect` for any other text."""
    try:
        return Position.parse(text)
    except ValueError as error:
        raise Defect(f"the server says a position that is {error}") from None


def read_frame(text: str | bytes) -> Frame | None:
    """Return a frame; None for one of a type that there is nothing to do about.

    Raises `Defect` where it is not the JSON that it has to be.
    """
    try:
        decoder = _decoders.get(_types.decode(text).type)
        frame: Frame | None = decoder and decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Defect(f"a frame of the server is not understood: {error}") from None
    return frame
