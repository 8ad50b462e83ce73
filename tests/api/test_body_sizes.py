"""What fields may have fits into a body, however JSON escapes it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any
from unicodedata import normalize

import msgspec
import pytest

from chat4all.domain.kinds import PAYLOAD_MAX
from chat4all.domain.messages import CONTENT_MAX
from chat4all.domain.people import MEMBERS_MAX, NOTE_KEY_MAX, NOTE_MAX, NOTES_MAX, TITLE_MAX
from chat4all.gateway.changing import changing_routes
from chat4all.http.route_limits import DeclaredLimits
from chat4all.metadata.conversations import conversation_routes
from chat4all.wire.body_sizes import (
    BODY_MAX,
    BYTE_MAX,
    CHARACTER_MAX,
    ESCAPE,
    GROUP_BODY_MAX,
    MESSAGE_BODY_MAX,
)
from tests.api.conftest import CHAT, Api
from tests.api.test_http import JSON, check_problem

pytestmark = pytest.mark.anyio

ID = "0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47"
MESSAGE = f"/v1/conversations/{CHAT}/messages/{ID}"
LIMITS = Path("docs/operations/limits.md").read_text()
CLIENTS = Path("docs/clients.md").read_text()


def escaped(value: Any) -> bytes:
    """Return JSON in which every character of every text is an escape."""
    match value:
        case dict():
            pairs = (b"%s: %s" % (escaped(key), escaped(one)) for key, one in value.items())
            return b"{" + b", ".join(pairs) + b"}"
        case str():
            units = value.encode("utf-16-be")
            parts = (units[at : at + 2].hex() for at in range(0, len(units), 2))
            return b'"' + b"".join(b"\\u" + part.encode() for part in parts) + b'"'
        case _:
            return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("character", "filling"),
    [("\U0001f389", "x"), ("\u03b1\u0313\u0300\u0345", "U\u0308\u0304")],
    ids=["surrogates", "accents apart"],
)
async def test_the_longest_message_can_be_sent_and_edited(
    api: Api, monkeypatch: pytest.MonkeyPatch, character: str, filling: str
) -> None:
    bruno = await api.sign_in("bruno")
    records: list[bytes] = []
    append = api.parts.log.append

    async def noted(key: Any, value: bytes, *more: Any, **others: Any) -> Any:
        records.append(value)
        return await append(key, value, *more, **others)

    monkeypatch.setattr(api.parts.log, "append", noted)
    content, kept = character * CONTENT_MAX, normalize("NFC", character) * CONTENT_MAX
    room = PAYLOAD_MAX - len(msgspec.json.encode({"x": ""}))
    payload = {"x": filling * (room // len(normalize("NFC", filling).encode()))}
    new = {"chat_id": CHAT, "message_id": ID, "kind": "custom", "payload": payload}
    body = escaped(new | {"content": content})
    assert BODY_MAX < len(body) <= MESSAGE_BODY_MAX
    answer = await api.gateway.post("/v1/messages", content=body, headers=bruno | JSON)
    assert answer.status_code == 202, answer.text
    await api.routed()
    assert (await api.history(bruno))[-1]["content"] == kept
    edit = json.dumps({"content": content[len(character) :]}).encode()
    answer = await api.gateway.patch(MESSAGE, content=edit, headers=bruno | JSON)
    assert answer.status_code == 202, answer.text
    # What is written to the log is UTF-8, and has the bytes that it always had.
    assert len(records) == 2
    assert max(map(len, records)) < BODY_MAX


def test_what_a_character_may_take_is_what_the_longest_takes() -> None:
    most, most_of_a_byte = 2 * ESCAPE, Fraction(ESCAPE)
    # Unicode 16 composes a few characters beyond of three. No text is made of them alone.
    for character in map(chr, range(0x10000)):
        if not "\ud800" <= character <= "\udfff" and normalize("NFC", character) == character:
            taken = len(escaped(normalize("NFD", character))) - 2
            most = max(most, taken)
            most_of_a_byte = max(most_of_a_byte, Fraction(taken, len(character.encode())))
    assert most == CHARACTER_MAX
    assert most_of_a_byte == BYTE_MAX


async def test_a_larger_body_is_refused(api: Api) -> None:
    as_json = await api.sign_in("bruno") | JSON
    body = json.dumps({"content": "x" * MESSAGE_BODY_MAX}).encode()
    for method, path in (("POST", "/v1/messages"), ("PATCH", MESSAGE)):
        answer = await api.gateway.request(method, path, content=body, headers=as_json)
        assert check_problem(answer, 413)["detail"] == "the body is larger than 390 KiB"


@pytest.mark.parametrize("character", ["\U0001f389", "\u03b1\u0313\u0300\u0345"])
def test_the_largest_group_fits(character: str) -> None:
    new = {
        "type": "group",
        "title": character * TITLE_MAX,
        "members": [f"a-name-of-32-characters-in-{n:05}" for n in range(MEMBERS_MAX)],
        "metadata": {
            character * (NOTE_KEY_MAX - 1) + chr(0x3B1 + n): character * NOTE_MAX
            for n in range(NOTES_MAX)
        },
    }
    for indent in (None, 2):
        assert 512 * 1024 < len(json.dumps(new, indent=indent)) <= GROUP_BODY_MAX


async def test_the_limits_are_declared_and_described(api: Api) -> None:
    declared = DeclaredLimits([changing_routes(), conversation_routes()])
    described = (await api.gateway.get("/openapi.json")).json()["paths"]
    group, one = "/v1/conversations", "/v1/conversations/{conversation_id}"
    for method, path, most in [
        ("POST", "/v1/messages", MESSAGE_BODY_MAX),
        ("PATCH", f"{one}/messages/{{message_id}}", MESSAGE_BODY_MAX),
        ("POST", group, GROUP_BODY_MAX),
        ("PATCH", one, GROUP_BODY_MAX),
    ]:
        problem = described[path][method.lower()]["responses"]["413"]["description"]
        assert problem == f"The body is larger than {most // 1024} KiB."
        assert f" {most // 1024} KiB where a" in LIMITS
        assert f" {most // 1024} KiB" in CLIENTS
        if path != "/v1/messages":
            scope = {
                "type": "http",
                "method": method,
                "path": path.format(conversation_id=CHAT, message_id=ID),
            }
            limits = declared.of(scope)
            assert limits is not None
            assert limits.body == most
            assert f" {limits.seconds:.0f} s where a" in LIMITS
