"""The product's own shapes of what is sent: both sides of the suite are held to them."""

from typing import Any, get_args

import msgspec

from chat4all.wire.client_frames import ClientFrame
from chat4all.wire.frames import MessageChangedFrame, MessageFrame, ServerFrame
from chat4all.wire.messages import EditMessage, MarkRead, MessageView, SendMessage
from tests.conformance.data import Json

BODIES = {"send": SendMessage, "edit": EditMessage, "read": MarkRead}

SERVER_FRAMES = {frame.__struct_config__.tag: frame for frame in get_args(ServerFrame)}


def wrong_frame(frame: Json) -> str | None:
    """Return what is wrong about a frame of a client."""
    return _wrong(frame, ClientFrame)


def wrong_body(kind: str, body: Any) -> str | None:
    """Return what is wrong about the body of a request of this kind."""
    return _wrong(body, BODIES[kind]) if kind in BODIES else None


def check_frame(frame: Json) -> None:
    """Raise `ValueError` where a frame of the server, unless of a new type, is not as it should."""
    kind = SERVER_FRAMES.get(frame["type"])
    if kind is None:
        return
    msgspec.convert(frame, kind)
    if kind in {MessageFrame, MessageChangedFrame}:
        msgspec.convert(frame["message"], MessageView)


def _wrong(value: Any, kind: Any) -> str | None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return str(error)
    return None
