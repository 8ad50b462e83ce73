"""`/asyncapi.json` against the specification, and against the frames that there are.

That every frame of every test fits its schema is checked where frames are read (`frames_in`).
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator, ValidationError

from chat4all.domain.messages import Status
from chat4all.gateway.live.asyncapi import frames_of, live_description, type_of_frame
from chat4all.gateway.live.codes import MEANINGS, CloseCode
from chat4all.gateway.sending import read_draft
from chat4all.wire import client_frames, frames
from chat4all.wire.client_frames import ClientFrame
from chat4all.wire.frames import ServerFrame
from chat4all.wire.messages import message_view
from tests.api.conftest import CHAT, Api
from tests.live import described
from tests.live.described import check_frame, payload_validator
from tests.live.sockets import resumed
from tests.messages import message

SPECIFICATION = Path(__file__).parents[1] / "asyncapi" / "3.0.0.json.gz"

SHOWN: dict[str, Any] = json.loads(msgspec.json.encode(message_view(message(1), Status.DELIVERED)))

ALL = [*frames_of(ClientFrame), *frames_of(ServerFrame)]


def test_it_is_valid_asyncapi() -> None:
    schema = json.loads(gzip.decompress(SPECIFICATION.read_bytes()))
    validator = Draft7Validator(schema)
    validator.validate(live_description())
    with pytest.raises(ValidationError):
        validator.validate({**live_description(), "channels": []})


def test_it_survives_json() -> None:
    assert json.loads(msgspec.json.encode(live_description())) == live_description()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(found := value.get("$ref"), str):
            yield found
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_reference_leads_somewhere() -> None:
    description = live_description()
    found = set(references(description))
    assert len(found) > len(ALL)
    for reference in found:
        assert reference.startswith("#/")
        place: Any = description
        for name in reference[2:].split("/"):
            place = place[name]
        assert place


def test_every_frame_is_described_and_no_other() -> None:
    described = live_description()["components"]["messages"]
    # Also those that somebody forgot to put into one of the unions.
    tagged = {
        one.__name__
        for one in (*vars(frames).values(), *vars(client_frames).values())
        if isinstance(one, type)
        and issubclass(one, msgspec.Struct)
        and one.__struct_config__.tag is not None
    }
    assert described.keys() == tagged == {frame.__name__ for frame in ALL}
    assert {name: one["name"] for name, one in described.items()} == {
        frame.__name__: type_of_frame(frame) for frame in ALL
    }


@pytest.mark.parametrize("frame", ALL)
def test_a_frame_says_what_it_is_and_has_an_example(frame: type[msgspec.Struct]) -> None:
    message = live_description()["components"]["messages"][frame.__name__]
    assert frame.__dict__.get("__doc__"), "describe it: its docstring is what clients read"
    assert message["description"].endswith(".")
    (example,) = message["examples"]
    payload_validator(frame.__name__).validate(example["payload"])
    assert example["payload"]["type"] == message["name"]
    msgspec.json.decode(msgspec.json.encode(example["payload"]), type=frame)


def test_the_example_of_a_message_to_send_is_one_that_is_accepted() -> None:
    (example,) = live_description()["components"]["messages"]["Send"]["examples"]
    assert read_draft(msgspec.json.encode(example["payload"])).content


def test_every_close_code_says_what_to_do() -> None:
    assert MEANINGS.keys() == set(CloseCode)
    listed = live_description()["channels"]["live"]["x-close-codes"]
    assert {one["code"] for one in listed} == {int(code) for code in CloseCode}


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "typing", "conversation_id": CHAT},
        {"type": "typing", "conversation_id": CHAT[1:], "username": "ana"},
        {"type": "message", "message": {}, "position": "1.0"},
        {"type": "message", "message": "text", "position": "1.0"},
        {
            "type": "message",
            "message": SHOWN | {"kind": "location", "payload": {}},
            "position": "1.0",
        },
        {"type": "conversation", "conversation_id": CHAT, "event": "renamed"},
    ],
)
def test_what_does_not_fit_is_found(frame: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(described, "_seen", set())  # other tests have seen such shapes
    with pytest.raises(ValidationError):
        check_frame(frame)


def test_what_a_message_has_is_by_its_kind() -> None:
    place = {"lat": 1, "lon": 2}
    for kind, payload in (("text", None), ("location", place), ("location", None), ("custom", {})):
        shown = SHOWN | {"kind": kind, "payload": payload}
        payload_validator("MessageFrame").validate(
            {"type": "message", "message": shown, "position": "1.0"}
        )


@pytest.mark.anyio
async def test_a_client_is_told_in_frames_that_are_described(api: Api) -> None:
    ana, bruno = await api.sign_in("ana"), await api.sign_in("bruno")
    socket = await resumed(api.parts.live, ana, **{CHAT: "9.0"})
    (other,) = [await resumed(api.parts.live, bruno)]
    other.say(type="send", ref="1", chat_id=CHAT, content="Olá")
    await other.heard("accepted")
    await socket.heard("message")
    other.say(type="typing", conversation_id=CHAT)
    await socket.heard("typing")
    other.say(type="read", conversation_id=CHAT, seq=1)
    other.say(type="read", conversation_id=CHAT, seq=9)
    await other.heard("error")
    seen = [*socket.frames, *other.frames]
    for frame in seen:
        check_frame(frame)
    assert {frame["type"] for frame in seen} >= {
        *("hello", "resumed", "reload", "message", "typing", "accepted", "error", "conversation")
    }
