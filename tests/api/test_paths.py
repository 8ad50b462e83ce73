"""Ids in paths: every spelling of an id is accepted, and made canonical."""

from collections.abc import Callable

import pytest

from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio

MESSAGE = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10"


@pytest.mark.parametrize("spelled", [str.lower, str.upper])
async def test_either_case_is_the_same_id(api: Api, spelled: Callable[[str], str]) -> None:
    bruno = await api.sign_in("bruno")
    await api.send(bruno, message_id=spelled(MESSAGE))
    await api.routed()
    chat = f"/v1/conversations/{spelled(CHAT)}"
    for path in ("", "/members", "/receipts", "/messages", "/messages?limit=1&after=00"):
        answer = await api.gateway.get(chat + path, headers=bruno)
        assert answer.status_code == 200, path
        assert CHAT.upper() not in answer.text + str(answer.headers)
    message = await api.gateway.get(f"{chat}/messages/{spelled(MESSAGE)}", headers=bruno)
    assert (message.json()["message_id"], message.json()["conversation_id"]) == (MESSAGE, CHAT)
    marked = await api.gateway.post(f"{chat}/read", json={"seq": 1}, headers=bruno)
    assert marked.status_code == 202
    await api.sign_in("bruno")
    sessions = (await api.gateway.get("/v1/sessions", headers=bruno)).json()
    other = next(one["session_id"] for one in sessions if not one["current"])
    ended = await api.gateway.delete(f"/v1/sessions/{spelled(other)}", headers=bruno)
    assert ended.status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v1/conversations/x", "conversation_id"),
        ("GET", "/v1/conversations/x/messages", "conversation_id"),
        ("GET", f"/v1/conversations/{CHAT}/messages/x", "message_id"),
        ("GET", f"/v1/conversations/{CHAT}%0A/members", "conversation_id"),
        ("DELETE", "/v1/sessions/x", "session_id"),
        ("GET", f"/v1/users/{'x' * 41}", "username"),
        ("DELETE", f"/v1/conversations/{CHAT}/members/{'x' * 41}", "username"),
    ],
)
async def test_the_parameter_that_is_no_id_is_named(
    api: Api, method: str, path: str, name: str
) -> None:
    bruno = await api.sign_in("bruno")
    answer = await api.gateway.request(method, path, headers=bruno)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/path/{name}"]
