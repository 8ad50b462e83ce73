"""The description of the live interface (AsyncAPI 3), made from the types that frames have.

A frame that is added to `wire.frames` or `wire.client_frames` is described with nothing done here.
"""

import inspect
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, TypeAlias, get_args

import msgspec

from chat4all import __version__
from chat4all.gateway.live.codes import MEANINGS
from chat4all.gateway.live.handshake import PATH, SUBPROTOCOL
from chat4all.gateway.live.schema_examples import example_of
from chat4all.gateway.live.streams import EVENTS_PATH
from chat4all.wire.client_frames import ClientFrame
from chat4all.wire.frames import AcceptedFrame, ErrorFrame, Hello, PresenceFrame, ServerFrame
from chat4all.wire.messages import EXAMPLE_CHAT
from chat4all.wire.schemas import schemas_of

ASYNCAPI: Final = "3.0.0"
"""The version of the specification."""

Schema: TypeAlias = dict[str, Any]
_Frame: TypeAlias = type[msgspec.Struct]

_ANSWERS: tuple[_Frame, ...] = (AcceptedFrame, ErrorFrame)
_SOCKETS_ONLY: tuple[_Frame, ...] = (Hello, PresenceFrame, *_ANSWERS)
"""What no stream has: nothing can be sent on it."""

_DESCRIPTION = f"""
What happens in your conversations, as it happens: over a WebSocket at `{PATH}`, or as server-sent
events of one conversation.

Each frame is a JSON object, and its `type` says which one. Pass over frames of a `type` that you do
not know, and fields that you do not know.

After `hello` send `resume` with your positions. You get what you have missed; from `resumed` on you
have everything, and the rest comes as it happens.
"""

_LIVE = f"""
A WebSocket (RFC 6455, version 13): text frames, without compression. It follows all conversations
of its user, also those joined later.

The access token comes in `Authorization`, in the subprotocols `{SUBPROTOCOL}` and `bearer.<token>`,
or in an `auth` frame within 10 s. Another `auth` frame renews it.

How a socket is closed says what to do: see the close codes.
"""

_EVENTS = """
Server-sent events (`text/event-stream`) for clients that cannot have a socket. The `data` of an
event is a frame. Its `id` is the position, so that `Last-Event-ID` resumes. A comment comes every
15 s.
"""


def frames_of(union: Any) -> tuple[_Frame, ...]:
    """Return the types in a union such as `ServerFrame`."""
    return get_args(union)


@cache
def live_description() -> dict[str, Any]:
    """Return the description, which is made once."""
    clients, servers = frames_of(ClientFrame), frames_of(ServerFrame)
    frames = [*clients, *servers]
    schemas = _schemas(frames)
    on_streams = [frame for frame in servers if frame not in _SOCKETS_ONLY]
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Chat4All live",
            "version": __version__,
            "description": _DESCRIPTION.strip(),
        },
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                "address": PATH,
                "description": _LIVE.strip(),
                "messages": {frame.__name__: _message_ref(frame) for frame in frames},
                "bindings": {"ws": {"method": "GET"}},
                "x-close-codes": [
                    {"code": int(code), "name": code.name, "description": meaning}
                    for code, meaning in MEANINGS.items()
                ],
            },
            "events": {
                "address": EVENTS_PATH,
                "description": _EVENTS.strip(),
                "parameters": {
                    "conversation_id": {
                        "description": "A conversation that you are in.",
                        "examples": [EXAMPLE_CHAT],
                    }
                },
                "messages": {frame.__name__: _message_ref(frame) for frame in on_streams},
            },
        },
        # As AsyncAPI has it, the server is who acts.
        "operations": {
            "hear": {
                "action": "receive",
                "title": "What clients send",
                "channel": {"$ref": "#/channels/live"},
                "messages": _in_channel("live", clients),
                "reply": {
                    "channel": {"$ref": "#/channels/live"},
                    "messages": _in_channel("live", _ANSWERS),
                },
                "security": [_security("token"), _security("subprotocol")],
            },
            "tell": {
                "action": "send",
                "title": "What the server sends",
                "channel": {"$ref": "#/channels/live"},
                "messages": _in_channel("live", servers),
                "security": [_security("token"), _security("subprotocol")],
            },
            "stream": {
                "action": "send",
                "title": "What the server streams",
                "channel": {"$ref": "#/channels/events"},
                "messages": _in_channel("events", on_streams),
                "bindings": {"http": {"method": "GET"}},
                "security": [_security("token")],
            },
        },
        "components": {
            "messages": {frame.__name__: _message(frame, schemas) for frame in frames},
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The access token of `POST /token`.",
                },
                "subprotocol": {
                    "type": "httpApiKey",
                    "in": "header",
                    "name": "Sec-WebSocket-Protocol",
                    "description": f"For pages, which cannot set headers: `{SUBPROTOCOL}, "
                    "bearer.<token>`. The server selects the first.",
                },
            },
        },
    }


def type_of_frame(frame: _Frame) -> str:
    """Return the `type` that says which frame it is."""
    return str(frame.__struct_config__.tag)


def _message(frame: _Frame, schemas: dict[str, Schema]) -> dict[str, Any]:
    example = example_of(schemas[frame.__name__], schemas)
    return {
        "name": type_of_frame(frame),
        "description": inspect.cleandoc(frame.__doc__ or ""),
        "payload": {"$ref": f"#/components/schemas/{frame.__name__}"},
        "examples": [{"payload": example}],
    }


def _message_ref(frame: _Frame) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{frame.__name__}"}


def _in_channel(channel: str, frames: Iterable[_Frame]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{frame.__name__}"} for frame in frames]


def _security(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/securitySchemes/{name}"}


def _schemas(frames: Iterable[_Frame]) -> dict[str, Schema]:
    schemas = schemas_of(frames, "#/components/schemas/{name}")
    return {name: _tidy(schema) for name, schema in schemas.items()}


def _tidy(schema: Any) -> Any:
    """Return a schema without what is about encoding only: JSON that is encoded already may be any.

    Descriptions are docstrings, with their indentation, and defaults may be tuples.
    """
    if isinstance(schema, list | tuple):
        return [_tidy(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {name: _tidy(value) for name, value in schema.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = inspect.cleandoc(tidy["description"])
    if {} in tidy.get("anyOf", ()):
        tidy["anyOf"] = [one for one in tidy["anyOf"] if one]
        if len(tidy["anyOf"]) == 1:
            tidy |= tidy.pop("anyOf")[0]
    return tidy
