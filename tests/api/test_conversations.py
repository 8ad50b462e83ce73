"""Lists of conversations, receipts, members' pages, and what outsiders cannot find out."""

import asyncio
import uuid
from typing import Any

import pytest

from chat4all.ports.directory import Conversations, Members
from chat4all.ports.users import Aliases, Credentials, Registrations, Users
from tests.api.conftest import CHAT, Api
from tests.api.test_permissions import TABLE

pytestmark = pytest.mark.anyio


async def group(api: Api, who: dict[str, str], *members: str, title: str = "x") -> str:
    new = {"type": "group", "members": list(members), "title": title}
    answer = await api.gateway.post("/v1/conversations", json=new, headers=who)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["conversation_id"])


async def listed(api: Api, who: dict[str, str], query: str = "") -> list[dict[str, Any]]:
    answer = await api.gateway.get(f"/v1/conversations{query}", headers=who)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.thorough
async def test_conversations_are_listed_by_newest_activity(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    quiet = await group(api, bruno, "ana", title="quiet")
    pair = await api.gateway.post(
        "/v1/conversations", json={"type": "private", "members": ["ana"]}, headers=bruno
    )
    private = pair.json()["conversation_id"]
    await api.send(ana, "one", chat_id=private)
    await api.send(ana, "two", chat_id=private)
    last = await api.send(bruno, "three", chat_id=CHAT)
    await api.routed()
    found = await listed(api, bruno)
    assert [one["conversation_id"] for one in found] == [CHAT, private, quiet]
    first, second, third = found
    assert first["last_message"]["message_id"] == last
    assert first["last_message"]["status"] == "DELIVERED"
    assert (first["unread"], first["position"], first["role"]) == (0, "1.0", "owner")
    assert first["title"] == "Demonstration"
    assert (second["type"], second["peer"], second["unread"]) == ("private", "ana", 2)
    assert second["last_message"]["content"] == "two"
    assert (third["last_message"], third["unread"], third["position"]) == (None, 0, "0.0")
    assert third["member_count"] == 2
    assert [one["username"] for one in third["members"]] == ["ana", "bruno"]
    (message,) = await api.history(bruno, "?limit=1", private)
    assert second["last_message"] == message

    path = f"/v1/conversations/{private}/read"
    assert (await api.gateway.post(path, json={"seq": 2}, headers=bruno)).status_code == 202
    await api.routed()
    second = (await listed(api, bruno))[1]
    assert (second["unread"], second["last_message"]["status"]) == (0, "READ")
    assert [one["unread"] for one in await listed(api, ana)] == [1, 0, 0]
    elsewhere = await api.metadata.get("/v1/conversations", headers=ana)
    assert elsewhere.json() == await listed(api, ana)


async def test_cursors_lead_through_all_conversations_and_members(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    made = [await group(api, bruno, "ana") for _ in range(4)]
    seen: list[str] = []
    url: str | None = "/v1/conversations?limit=2"
    while url:
        answer = await api.gateway.get(url, headers=bruno)
        page = answer.json()
        assert 0 < len(page) <= 2
        seen += [one["conversation_id"] for one in page]
        url = answer.links["next"]["url"] if "next" in answer.links else None
    assert sorted(seen) == sorted([*made, CHAT])

    members = []
    url = f"/v1/conversations/{CHAT}/members?limit=1"
    while url:
        answer = await api.gateway.get(url, headers=bruno)
        members += answer.json()
        url = answer.links["next"]["url"] if "next" in answer.links else None
    assert members == [
        {"username": "ana", "role": "member"},
        {"username": "bruno", "role": "owner"},
    ]
    for path in ("/v1/conversations", f"/v1/conversations/{CHAT}/members", "/v1/users"):
        for cursor in ("é", "a", "_w=="):
            answer = await api.gateway.get(path, params={"cursor": cursor}, headers=bruno)
            assert answer.status_code == 422, (path, cursor)


async def test_a_former_member_does_not_list_the_conversation(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    chat = await group(api, bruno, "ana")
    assert chat in [one["conversation_id"] for one in await listed(api, ana)]
    path = f"/v1/conversations/{chat}/members/ana"
    assert (await api.gateway.delete(path, headers=ana)).status_code == 204
    assert chat not in [one["conversation_id"] for one in await listed(api, ana)]
    answer = await api.gateway.get(f"/v1/conversations/{chat}/receipts", headers=bruno)
    assert [one["username"] for one in answer.json()] == ["bruno"]


async def receipts(api: Api, who: dict[str, str], chat: str = CHAT) -> dict[str, dict[str, Any]]:
    answer = await api.gateway.get(f"/v1/conversations/{chat}/receipts", headers=who)
    assert answer.status_code == 200, answer.text
    return {one.pop("username"): one for one in answer.json()}


async def test_receipts_say_how_far_each_member_has_read_and_when(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    nothing = {"delivered_seq": 0, "read_seq": 0, "delivered_at": None, "read_at": None}
    assert await receipts(api, bruno) == {"ana": nothing, "bruno": nothing}
    for _ in range(3):
        await api.send(bruno)
    await api.routed()
    found = await receipts(api, ana)
    assert (found["ana"], found["bruno"]["read_seq"]) == (nothing, 3)
    path = f"/v1/conversations/{CHAT}/read"
    for seq in (2, 1):
        assert (await api.gateway.post(path, json={"seq": seq}, headers=ana)).status_code == 202
        await api.routed()
        hers = (await receipts(api, bruno))["ana"]
        assert (hers["delivered_seq"], hers["read_seq"]) == (2, 2)
    assert found["bruno"]["read_at"] < hers["read_at"]
    assert hers["read_at"] == hers["delivered_at"]
    assert hers["read_at"].endswith("Z")


async def test_programs_send_without_reading(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    await api.send(ana, "read this")
    await api.send(bruno, "from a program", mark_read=False)
    await api.routed()
    assert (await listed(api, bruno))[0]["unread"] == 2
    receipts = await api.gateway.get(f"/v1/conversations/{CHAT}/receipts", headers=bruno)
    assert {one["username"]: one["read_seq"] for one in receipts.json()} == {"ana": 1, "bruno": 0}
    await api.send(bruno, "from a person")
    await api.routed()
    assert (await listed(api, bruno))[0]["unread"] == 0
    body = {"chat_id": CHAT, "content": "x", "mark_read": "no"}
    answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/mark_read"]


async def test_a_new_member_has_nothing_unread(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    carla = await api.sign_up("carla")
    for _ in range(3):
        await api.send(bruno)
    await api.routed()
    path = f"/v1/conversations/{CHAT}/members"
    await api.gateway.post(path, json={"username": "carla"}, headers=bruno)
    await api.routed()
    assert [one["unread"] for one in await listed(api, carla)] == [0]
    assert (await receipts(api, carla))["carla"]["read_seq"] == 3


async def test_what_an_erased_user_wrote_stays_under_an_alias(api: Api) -> None:
    """Fails when an alias supersedes no page that was cached before."""
    bruno = await api.sign_in("bruno")
    carla = await api.sign_up("carla")
    path = f"/v1/conversations/{CHAT}"
    await api.gateway.post(f"{path}/members", json={"username": "carla"}, headers=bruno)
    message = await api.send(carla, "hers")
    await api.send(bruno, "his")
    await api.routed()
    # Left before: that she is no member does not tell that her pages must change.
    assert (await api.gateway.delete(f"{path}/members/carla", headers=carla)).status_code == 204
    # Polled before, or else the news of her leaving would come later and drop the page as well.
    await api.parts.follower.poll()
    assert [m["sender_id"] for m in await api.history(bruno)] == ["carla", "bruno"]  # kept now
    assert (await api.gateway.delete("/v1/users/carla", headers=carla)).status_code == 204

    async with asyncio.timeout(5):
        while (names := [m["sender_id"] for m in await api.history(bruno)])[0] == "carla":
            await asyncio.sleep(0.01)
    alias, other = names
    assert alias.startswith("deleted-")
    assert other == "bruno"
    (first,) = await api.history(bruno, "?limit=1&after=0")
    assert (first["sender_id"], first["content"]) == (alias, "hers")
    one = await api.gateway.get(f"{path}/messages/{message}", headers=bruno)
    assert one.json()["sender_id"] == alias
    for name in ("carla", alias):
        assert (await api.gateway.get(f"/v1/users/{name}", headers=bruno)).status_code == 404
    taken = {"username": "carla", "email": "new@example.com", "password": "long enough"}
    assert (await api.gateway.post("/v1/users", json=taken)).status_code == 409


async def test_only_the_user_sees_the_email(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    own = (await api.gateway.get("/v1/users/ana", headers=ana)).json()
    assert own["email"] == "ana@example.com"
    assert own == (await api.gateway.get("/v1/me", headers=ana)).json()
    others = await api.gateway.get("/v1/users/ana", headers=bruno)
    found = await api.gateway.get("/v1/users?query=a", headers=bruno)
    for text in (others.text, found.text):
        assert '"ana"' in text
        assert "example.com" not in text


async def test_guessing_the_current_password_is_limited(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    guess = {"password": "a longer one", "current_password": "wrong"}
    statuses = [
        (await api.gateway.patch("/v1/users/bruno", json=guess, headers=bruno)).status_code
        for _ in range(11)
    ]
    assert statuses == [403] * 10 + [429]


OF_A_CONVERSATION = [route for route in TABLE if "{conversation_id}" in route]


def recording(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what will be asked of directory, users, log and store, in order."""
    made: list[str] = []

    def wrap(owner: Any, name: str, of: str) -> None:
        inner = getattr(owner, name)

        async def wrapped(*arguments: Any, **named: Any) -> Any:
            made.append(f"{of}.{name}")
            return await inner(*arguments, **named)

        monkeypatch.setattr(owner, name, wrapped)

    people = api.parts.people
    for owner, of, ports in (
        (people.directory, "directory", (Members, Conversations)),
        (people.users, "users", (Registrations, Credentials, Users, Aliases)),
    ):
        for port in ports:
            for name in vars(port):
                if not name.startswith("_"):
                    wrap(owner, name, of)
    for part, of in ((api.parts.log, "log"), (api.parts.store, "store")):
        for name in ("append", "head", "page", "read_seqs", "receipts", "with_id", "activity"):
            if hasattr(part, name):
                wrap(part, name, of)
    return made


@pytest.mark.thorough
async def test_outsiders_cannot_tell_what_exists(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same status, same body, same calls of the ports in the same order."""
    bruno = await api.sign_in("bruno")
    carla = await api.sign_up("carla")
    message = await api.send(bruno)
    await api.routed()
    await api.send(bruno, chat_id=await group(api, bruno))
    made = recording(api, monkeypatch)
    for route in [*OF_A_CONVERSATION, "POST /v1/messages"]:
        for asked in TABLE[route]:
            seen = []
            for chat in (str(uuid.uuid4()), CHAT, CHAT, str(uuid.uuid4())):
                method, template = route.split(" ")
                names = {"conversation_id": chat, "message_id": message} | dict(asked.parameters)
                path = template.format(**names).replace("(the asker)", "carla")
                body = asked.body and {
                    key: chat if value == "(chat)" else value for key, value in asked.body.items()
                }
                made.clear()
                answer = await api.gateway.request(method, path, json=body, headers=carla)
                problem = answer.json()
                for own in ("request_id", "instance", "message_id"):
                    problem.pop(own, None)
                seen.append((answer.status_code, problem, list(made)))
            assert seen[0][0] == 404
            assert seen[1:] == seen[:1] * 3, route
            assert seen[0][2], route
