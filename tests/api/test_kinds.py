"""Messages of all kinds, as clients send and see them."""

from typing import Any

import jsonschema
import pytest

from chat4all.domain.kinds import FILE_KINDS, Kind
from chat4all.http.json_bodies import ERRORS_MAX
from chat4all.wire.payloads import SENT_KINDS
from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio

LOCATION = {"lat": -23.5505, "lon": -46.6333, "name": "Praça da Sé"}
CONTACT = {
    "name": "Ana",
    "phones": ["+55 11 91234-5678"],
    "emails": ["a@example.com"],
    "username": "ana",
}
CUSTOM: dict[str, Any] = {"poll": {"of": ["sim", "não"], "open": True, "n": [1, 2.5, None, ""]}}
SENT: list[tuple[str, Any, str]] = [
    ("location", LOCATION, ""),
    ("location", {"lat": 0, "lon": 180}, "here"),
    ("contact", CONTACT, "ask her"),
    ("contact", {"name": "Ana"}, ""),
    ("custom", CUSTOM, "a poll"),
    ("custom", {}, ""),
]


async def send(api: Api, who: dict[str, str], **body: Any) -> Any:
    return await api.gateway.post("/v1/messages", json={"chat_id": CHAT, **body}, headers=who)


async def test_every_kind_is_shown_everywhere_as_it_was_sent(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for seq, (kind, payload, content) in enumerate(SENT, 1):
        said = {"content": content} if content else {}
        answer = await send(api, bruno, kind=kind, payload=payload, **said)
        assert answer.status_code == 202, answer.text
        path = f"/v1/conversations/{CHAT}/messages/{answer.json()['message_id']}"
        for status in ("SENT", "DELIVERED"):
            shown = (await api.gateway.get(path, headers=bruno)).json()
            assert (shown["kind"], shown["payload"], shown["content"]) == (kind, payload, content)
            assert shown["status"] in (status, "DELIVERED")
            await api.routed()
        assert (await api.history(bruno))[-1] == shown
        (listed,) = (await api.metadata.get("/v1/conversations", headers=bruno)).json()
        assert listed["last_message"] == shown
        assert shown["seq"] == seq


async def test_a_text_has_nothing_else(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    said: dict[str, Any] = {"kind": "text", "payload": None, "reply_to": None, "mentions": []}
    for more in ({}, said):
        assert (await send(api, bruno, content="x", **more)).status_code == 202
    await api.routed()
    for shown in await api.history(bruno):
        assert (shown["kind"], shown["payload"], shown["reply_to"]) == ("text", None, None)
        assert shown["mentions"] == []


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"kind": "text"}, ["/content"]),
    ({"kind": "text", "content": "x", "payload": {}}, ["/payload"]),
    ({"kind": "location"}, ["/payload"]),
    (
        {"kind": "location", "payload": {"lat": 90.1, "lon": "east"}},
        ["/payload/lat", "/payload/lon"],
    ),
    ({"kind": "location", "payload": LOCATION | {"name": "\u202e"}}, ["/payload/name"]),
    ({"kind": "location", "payload": LOCATION | {"zoom": 3}}, ["/payload"]),
    ({"kind": "location", "payload": [1, 2]}, ["/payload"]),
    ({"kind": "contact", "payload": {"phones": ["1"] * 11}}, ["/payload/name", "/payload/phones"]),
    ({"kind": "contact", "payload": {"name": "x" * 201}}, ["/payload/name"]),
    ({"kind": "custom"}, ["/payload"]),
    ({"kind": "custom", "payload": {"a": ["\x00"], "b": "\u200b"}}, ["/payload/a/0", "/payload/b"]),
    ({"kind": "custom", "payload": {"e\u0301": 1, "\u00e9": 2}}, ["/payload"]),
    ({"kind": "custom", "payload": {"a": 2**53 + 1}}, ["/payload"]),
    ({"kind": "custom", "payload": {"a": "x" * 16_384}}, ["/payload"]),
    ({"kind": "custom", "payload": nested(9)}, ["/payload" + "/a" * 8]),
    ({"kind": "system", "content": "x"}, ["/kind"]),
    *[({"kind": k, "payload": {"file_id": CHAT}}, ["/payload/file_id"]) for k in FILE_KINDS],
    ({"kind": "image", "payload": {"file_id": "../x"}}, ["/payload/file_id"]),
    ({"kind": "file", "payload": {"file_id": CHAT, "size": 1}}, ["/payload"]),
    ({"kind": "file", "payload": {"file_id": CHAT, "name": "a\nb"}}, ["/payload/name"]),
    ({"kind": "file"}, ["/payload"]),
    ({"kind": "dance", "content": "x"}, ["/kind"]),
]


async def test_what_does_not_fit_the_kind_is_refused_where_it_is(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for body, pointers in REFUSED:
        answer = await send(api, bruno, **body)
        assert answer.status_code == 422, body
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers, body
        assert "dance" not in answer.text


async def test_a_payload_that_is_broken_everywhere_has_a_short_answer(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for payload in ({"x": [" "] * 10_000}, {f"{n}\t": n for n in range(3_000)}):
        answer = await send(api, bruno, kind="custom", payload=payload)
        assert answer.status_code == 422
        assert len(answer.json()["errors"]) == ERRORS_MAX


async def test_a_payload_is_measured_as_it_is_kept(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    escaped = {"x": "é" * 5_000}  # 30,000 bytes as they are sent
    assert (await send(api, bruno, kind="custom", payload=escaped)).status_code == 202
    answer = await send(api, bruno, kind="custom", payload={"x": "é" * 9_000})
    assert answer.status_code == 422


async def test_the_texts_of_a_payload_are_kept_in_their_normal_form(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    await send(api, bruno, kind="custom", payload={"e\u0301": ["e\u0301", nested(6)]})
    await send(api, bruno, kind="location", payload=LOCATION | {"name": "Se\u0301"})
    await api.routed()
    custom, location = await api.history(bruno)
    assert custom["payload"] == {"\u00e9": ["\u00e9", nested(6)]}
    assert location["payload"]["name"] == "S\u00e9"


async def test_a_deletion_takes_the_payload_and_leaves_the_kind(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    answer = await send(api, bruno, kind="location", payload=LOCATION, content="secret")
    await api.routed()
    path = f"/v1/conversations/{CHAT}/messages/{answer.json()['message_id']}"
    assert (await api.gateway.delete(path, headers=bruno)).status_code == 202
    await api.routed()
    (shown,) = await api.history(bruno)
    assert (shown["kind"], shown["payload"], shown["content"]) == ("location", None, "")
    assert (await api.gateway.get(path, headers=bruno)).json() == shown


async def test_the_text_beside_a_payload_can_be_edited(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    answer = await send(api, bruno, kind="custom", payload=CUSTOM)
    await api.routed()
    path = f"/v1/conversations/{CHAT}/messages/{answer.json()['message_id']}"
    edited = await api.gateway.patch(path, json={"content": "a poll"}, headers=bruno)
    assert edited.status_code == 202
    await api.routed()
    (shown,) = await api.history(bruno)
    assert (shown["content"], shown["payload"]) == ("a poll", CUSTOM)


async def test_the_description_has_every_kind(api: Api) -> None:
    described = (await api.gateway.get("/openapi.json")).json()["components"]["schemas"]
    kinds = described["Kind"]["enum"]
    assert {"text", "location", "contact", "custom", "system", "image"} <= set(kinds)
    for name, choices in (("SendMessage", SENT_KINDS), ("MessageView", tuple(Kind))):
        found = [one["properties"]["kind"]["const"] for one in described[name]["oneOf"]]
        assert tuple(found) == choices


@pytest.mark.thorough
async def test_what_is_sent_and_shown_is_as_it_is_described(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    described = (await api.gateway.get("/openapi.json")).json()
    first = await api.send(bruno, "first")
    await api.routed()
    bodies = [
        {"chat_id": CHAT, "kind": kind, "payload": payload} | ({"content": text} if text else {})
        for kind, payload, text in SENT
    ]
    bodies += [{"chat_id": CHAT, "content": "x", "reply_to": first, "mentions": ["ana"]}]
    posted = described["paths"]["/v1/messages"]["post"]["requestBody"]
    of_bodies = posted["content"]["application/json"]["schema"]
    checked = {"components": described["components"]}
    for body in bodies:
        jsonschema.validate(body, checked | of_bodies)
        assert (await api.gateway.post("/v1/messages", json=body, headers=bruno)).is_success
    place = {"lat": 0, "lon": 0}
    of_no_kind: list[dict[str, Any]] = [
        {},
        {"kind": "location"},
        {"content": "x", "mentions": "ana"},
        {"content": "x", "payload": place},
        {"content": "x", "kind": "text", "payload": place},
        {"content": "x", "kind": "custom"},
        {"content": "x", "kind": "image", "payload": {}},
        {"kind": "location", "payload": {"name": "Ana"}},
        {"kind": "contact", "payload": place},
        {"kind": "location", "payload": place | {"more": 1}},
    ]
    for broken in of_no_kind:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"chat_id": CHAT} | broken, checked | of_bodies)
    await api.routed()
    of_messages = {"items": {"$ref": "#/components/schemas/MessageView"}}
    jsonschema.validate(await api.history(bruno), checked | of_messages)
    shown = (await api.history(bruno))[0]
    for broken in (
        {"payload": place},
        {"kind": "location", "payload": {"name": "Ana"}},
        {"kind": "contact", "payload": place},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([shown | broken], checked | of_messages)
    listed = (await api.gateway.get("/v1/conversations", headers=bruno)).json()
    of_lists = {"items": {"$ref": "#/components/schemas/ListedConversation"}}
    jsonschema.validate(listed, checked | of_lists)
