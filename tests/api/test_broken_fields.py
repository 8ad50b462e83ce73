"""All broken fields of a request are named at once, and of a repeated one the last counts."""

import json
from typing import Any

import pytest

from chat4all.domain.errors import InvalidInput
from chat4all.gateway.live.changing_frames import CHANGES
from chat4all.gateway.sending import read_draft
from chat4all.http.json_bodies import ERRORS_MAX
from tests.api.conftest import CHAT, Api
from tests.api.test_http import JSON

pytestmark = pytest.mark.anyio

MESSAGE = "0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47"
NOWHERE = {"lat": 1000, "lon": "east"}


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        (
            {"chat_id": CHAT, "content": "", "kind": "location", "payload": NOWHERE},
            ["/content", "/payload/lat", "/payload/lon"],
        ),
        (
            {"content": "x", "kind": "location", "payload": NOWHERE},
            ["/chat_id", "/payload/lat", "/payload/lon"],
        ),
        ({"content": "", "payload": {"a": 1}}, ["/content", "/chat_id", "/payload"]),
        ({"chat_id": CHAT, "content": "", "kind": "system"}, ["/content", "/kind"]),
        ({"chat_id": CHAT, "kind": "text", "reply_to": 1}, ["/reply_to", "/content"]),
        ({"chat_id": CHAT, "content": 1, "kind": "dance", "payload": {}}, ["/content", "/kind"]),
        (
            {"chat_id": CHAT, "content": "", "mentions": ["", "ana", "x" * 33, 3]},
            ["/content", "/mentions/0", "/mentions/2", "/mentions/3"],
        ),
        ({"chat_id": CHAT, "content": "x", "mentions": "ana"}, ["/mentions"]),
        ({"chat_id": CHAT, "content": "x", "mentions": ["ana"] * 51}, ["/mentions"]),
        (
            {"chat_id": CHAT, "content": "x", "mentions": [1] * 50},
            [f"/mentions/{place}" for place in range(ERRORS_MAX)],
        ),
        (
            {
                "chat_id": CHAT,
                "kind": "contact",
                "payload": {"name": "x", "phones": ["+55", "\n", 5, "  "], "emails": ["a@b", "\t"]},
            },
            ["/payload/phones/1", "/payload/phones/2", "/payload/phones/3", "/payload/emails/1"],
        ),
        (
            {"chat_id": CHAT, "kind": "contact", "payload": {"name": "x", "phones": ["1", "\n"]}},
            ["/payload/phones/1"],
        ),
    ],
)
def test_a_message(body: dict[str, Any], broken: list[str]) -> None:
    """By the route and by the frame `send`, which read it alike."""
    with pytest.raises(InvalidInput) as refused:
        read_draft(json.dumps(body).encode())
    assert [error.pointer for error in refused.value.errors] == broken


async def test_a_frame() -> None:
    frame = {"type": "react", "conversation_id": CHAT, "message_id": MESSAGE}
    for kind in ("react", "unreact"):
        told = json.dumps(frame | {"type": kind, "seq": 0, "emoji": "x"}).encode()
        with pytest.raises(InvalidInput) as refused:
            await CHANGES[kind](None, "ana", told)  # type: ignore[arg-type]
        assert {error.pointer for error in refused.value.errors} == {"/seq", "/emoji"}


async def test_of_a_repeated_member_the_last_one_counts(api: Api) -> None:
    as_json = await api.sign_in("bruno") | JSON
    for method, path, name, good, status in [
        ("POST", "/v1/messages", "content", "x", 202),
        ("POST", f"/v1/conversations/{CHAT}/read", "seq", 0, 202),
        ("PATCH", "/v1/users/bruno", "display_name", "Bruno", 200),
    ]:
        for values, wanted in [((5.5, good), status), ((good, 5.5), 422)]:
            members = [(name, value) for value in values] + [("chat_id", CHAT)]
            told = ",".join(f'"{key}":{json.dumps(value)}' for key, value in members)
            body = f"{{{told}}}"
            answer = await api.gateway.request(method, path, content=body, headers=as_json)
            assert answer.status_code == wanted, (body, answer.text)
            if wanted == 422:
                assert pointers(answer) == [f"/{name}"]


async def test_a_header_and_the_body(api: Api) -> None:
    """Fails when a bad `Idempotency-Key` ends the request before its body is looked at."""
    key = {"Idempotency-Key": "mine"}
    header = "/header/Idempotency-Key"
    bruno = await api.sign_in("bruno") | key
    new = {"type": "group", "members": [""], "title": "a\nb"}
    answer = await api.metadata.post("/v1/conversations", json=new, headers=bruno)
    assert sorted(pointers(answer)) == [header, "/members/0", "/title"]
    answer = await api.metadata.post("/v1/users", json={"username": "zoe"}, headers=key)
    assert sorted(pointers(answer)) == ["/email", header, "/password"]
    path = f"/v1/conversations/{CHAT}/members"
    answer = await api.metadata.post(path, json={"role": "king"}, headers=bruno)
    assert sorted(pointers(answer)) == [header, "/role", "/username"]


async def test_names_that_are_nobodys(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for many, told in [
        (2, "no such user: nobody-00, nobody-01"),
        (22, f"no such user: {', '.join(f'nobody-{n:02}' for n in range(20))} and 2 more"),
    ]:
        names = ["ana", *(f"nobody-{n:02}" for n in range(many))]
        new = {"type": "group", "members": names}
        answer = await api.metadata.post("/v1/conversations", json=new, headers=bruno)
        assert pointers(answer) == ["/members"]
        assert answer.json()["errors"][0]["detail"] == told


async def test_a_key_of_an_object(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    notes = {"": "x", "a\n": "x", "[key]": "\0", "good": "x"}
    new = {"type": "group", "members": [], "metadata": notes}
    answer = await api.metadata.post("/v1/conversations", json=new, headers=bruno)
    assert pointers(answer) == ["/metadata/", "/metadata/a\n", "/metadata/[key]"]
    told = [error["detail"] for error in answer.json()["errors"]]
    assert [detail.startswith("the key: ") for detail in told] == [True, True, False]
