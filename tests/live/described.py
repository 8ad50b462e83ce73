"""What `/asyncapi.json` says, for tests to hold frames against."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from chat4all.gateway.live.asyncapi import frames_of, live_description
from chat4all.wire.frames import ServerFrame

_SERVERS = {frame.__name__ for frame in frames_of(ServerFrame)}

_seen: set[object] = set()


def check_frame(frame: Mapping[str, Any]) -> None:
    """Fail unless the payload schema of a server's frame allows it.

    Of frames whose values have the same types one is enough: a schema takes long to apply.
    """
    shape = _shape(frame)
    if shape not in _seen:
        payload_validator(_server_frame(frame["type"])).validate(frame)
        _seen.add(shape)


@cache
def payload_validator(name: str) -> Draft202012Validator:
    """Return what validates payloads of a message of the description."""
    components = live_description()["components"]
    payload = components["messages"][name]["payload"]
    return Draft202012Validator({**payload, "components": components})


def of_streams() -> set[str]:
    """Return the types of frames that streams are said to have."""
    description = live_description()
    messages = description["components"]["messages"]
    return {messages[name]["name"] for name in description["channels"]["events"]["messages"]}


def _server_frame(kind: str) -> str:
    messages = live_description()["components"]["messages"]
    found: list[str] = [
        name for name in messages if name in _SERVERS and messages[name]["name"] == kind
    ]
    assert len(found) == 1, f"{kind} is described {len(found)} times"
    return found[0]


def _shape(value: Any) -> object:
    if isinstance(value, dict):
        return tuple((name, _shape(one)) for name, one in sorted(value.items()))
    if isinstance(value, list):
        return tuple({_shape(one) for one in value})
    return type(value)
