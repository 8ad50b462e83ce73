"""Sending and reading messages, as a client."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from chat4all.domain.errors import NotAccepted, OutcomeUnknown, Overloaded
from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import MessageDraft
from chat4all.domain.people import Role
from chat4all.domain.records import Headers
from chat4all.usecases.sending import Sending
from tests.api.conftest import CHAT, Api
from tests.attached import attaching

pytestmark = pytest.mark.anyio


async def test_a_message_has_its_fields_and_its_number(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    message_id = await api.send(bruno, "Olá 🎉\t\n")
    await api.routed()
    (message,) = await api.history(bruno)
    created_at = message.pop("created_at")
    assert created_at.endswith("Z")
    assert message == {
        "conversation_id": CHAT,
        "message_id": message_id,
        "sender_id": "bruno",
        "content": "Olá 🎉\t\n",
        "status": "DELIVERED",
        "seq": 1,
        "edited_at": None,
        "deleted_at": None,
        "reactions": [],
        "kind": "text",
        "payload": None,
        "reply_to": None,
        "mentions": [],
    }


@pytest.mark.thorough
async def test_many_at_once_are_there_once_in_one_order(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    sent = await asyncio.gather(*[api.send(who) for who in [bruno, ana] * 100])
    await api.routed()
    history = await api.history(bruno, "?limit=200")
    assert history == await api.history(ana, "?limit=200")
    assert [m["seq"] for m in history] == list(range(1, 201))
    assert {m["message_id"] for m in history} == set(sent)


async def test_one_id_fifty_times_at_once_is_one_message(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    own = str(uuid.uuid4())
    answers = await asyncio.gather(*[api.send(bruno, message_id=own) for _ in range(50)])
    assert set(answers) == {own}
    await api.routed()
    assert [m["message_id"] for m in await api.history(bruno)] == [own]


async def test_an_id_is_its_senders_and_has_one_spelling(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    own = str(uuid.uuid4())
    assert await api.send(bruno, "mine", message_id=own.upper()) == own
    await api.send(ana, "mine", message_id=own)
    await api.routed()
    assert len(await api.history(bruno)) == 2
    for who, name in [(bruno, "bruno"), (ana, "ana")]:
        found = await api.gateway.get(f"/v1/conversations/{CHAT}/messages/{own}", headers=who)
        assert found.json()["sender_id"] == name


async def test_a_third_reader_gets_the_first_message_of_an_id(api: Api) -> None:
    bruno, carla = await api.sign_in("bruno"), await api.sign_up("carla")
    ana, own = await api.sign_in("ana"), str(uuid.uuid4())
    path = f"/v1/conversations/{CHAT}"
    added = await api.gateway.post(f"{path}/members", json={"username": "carla"}, headers=bruno)
    assert added.status_code == 201
    await api.send(ana, "first", message_id=own)
    await api.send(bruno, "second", message_id=own)
    await api.routed()
    found = await api.gateway.get(f"{path}/messages/{own}", headers=carla)
    assert found.json()["content"] == "first"


async def test_conversation_id_is_the_same_as_chat_id(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for body, status in [
        ({"conversation_id": CHAT.upper(), "content": "x"}, 202),
        ({"conversation_id": CHAT, "chat_id": CHAT, "content": "x"}, 422),
    ]:
        answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
        assert answer.status_code == status, body


async def test_pages(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for n in range(1, 13):
        await api.send(bruno, str(n))
    await api.routed()

    async def page(query: str) -> list[int]:
        return [m["seq"] for m in await api.history(bruno, query)]

    assert await page("") == list(range(1, 13))
    assert await page("?limit=3") == [10, 11, 12]
    assert await page("?limit=3&before=10") == [7, 8, 9]
    assert await page("?limit=3&before=2") == [1]
    assert await page("?limit=3&before=1") == []
    assert await page("?limit=3&after=0") == [1, 2, 3]
    assert await page("?limit=3&after=11") == [12]
    assert await page("?limit=3&after=12") == []
    assert await page("?limit=3&after=9007199254740992") == []
    assert await page("?limit=5&around=6") == [4, 5, 6, 7, 8]
    assert await page("?limit=5&around=1") == [1, 2, 3, 4, 5]
    assert await page("?limit=5&around=12") == [8, 9, 10, 11, 12]
    assert await page("?limit=1&around=6") == [6]
    assert await page("?limit=1&around=99") == [12]
    assert await page("?around=99") == list(range(1, 13))


@pytest.mark.parametrize(("start", "rel"), [("", "prev"), ("?after=0&limit=5", "next")])
async def test_links_lead_through_the_whole_history(api: Api, start: str, rel: str) -> None:
    bruno = await api.sign_in("bruno")
    for n in range(1, 13):
        await api.send(bruno, str(n))
    await api.routed()
    seen: list[int] = []
    url = f"/v1/conversations/{CHAT}/messages{start or '?limit=5'}"
    while url:
        answer = await api.gateway.get(url, headers=bruno)
        numbers = [m["seq"] for m in answer.json()]
        seen = numbers + seen if rel == "prev" else seen + numbers
        assert len(seen) <= 12
        url = answer.links.get(rel, {}).get("url", "")
    assert seen == list(range(1, 13))


async def test_read_is_said_when_every_other_member_has_read(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    for n in range(3):
        await api.send(bruno, str(n))
    await api.routed()

    async def read(who: dict[str, str], seq: int) -> int:
        answer = await api.gateway.post(
            f"/v1/conversations/{CHAT}/read", json={"seq": seq}, headers=who
        )
        await api.routed()
        return answer.status_code

    async def statuses() -> list[str]:
        return [m["status"] for m in await api.history(bruno)]

    assert await statuses() == ["DELIVERED"] * 3
    assert await read(ana, 2) == 202
    assert await statuses() == ["READ", "READ", "DELIVERED"]
    assert await read(ana, 1) == 202
    assert await statuses() == ["READ", "READ", "DELIVERED"]
    assert await read(ana, 4) == 422
    await api.send(ana, "an answer says that all before it was read")
    await api.routed()
    assert await statuses() == ["READ", "READ", "READ", "DELIVERED"]


@pytest.mark.thorough
async def test_a_new_member_starts_read_at_the_present(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    carla = await api.sign_up("carla")
    await api.send(bruno)
    await api.send(ana)
    await api.routed()
    body = {"username": "carla"}
    await api.gateway.post(f"/v1/conversations/{CHAT}/members", json=body, headers=bruno)
    await api.routed()
    # Bruno's message was read by Ana, who answered, and does not wait for Carla, who came later.
    assert [m["status"] for m in await api.history(carla)] == ["READ", "DELIVERED"]


class _OneChat:
    async def members(self, conversation: ConversationId) -> Mapping[Any, Role]:
        return {"bruno": Role.MEMBER}


class _NoLog:
    clock_is_right = True

    def __init__(self, error: Exception) -> None:
        self.error = error

    def makes_fresh_ids(self) -> bool:
        return self.clock_is_right

    async def append(self, key: ConversationId, value: bytes, _: Headers = ()) -> LogPosition:
        raise self.error

    async def ping(self) -> None:
        raise self.error


async def test_right_after_its_202_a_message_is_sent(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    api.parts.routing.stop()
    message_id = await api.send(bruno, "not routed")
    path = f"/v1/conversations/{CHAT}/messages/{message_id}"
    found = (await api.gateway.get(path, headers=bruno)).json()
    assert (found["status"], found["seq"], found["content"]) == ("SENT", None, "not routed")
    assert (await api.gateway.get(path, headers=ana)).status_code == 404


@pytest.mark.thorough
async def test_an_unknown_outcome_is_503_with_the_id_and_not_too_early(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = await api.sign_in("bruno")

    async def fail(key: ConversationId, value: bytes, _: Headers = ()) -> LogPosition:
        raise OutcomeUnknown("disk I/O error")

    monkeypatch.setattr(api.parts.log, "append", fail)
    own, loop = str(uuid.uuid4()), asyncio.get_running_loop()
    for body, least in [({"message_id": own}, 0.0), ({}, 1.9)]:
        started = loop.time()
        answer = await api.gateway.post(
            "/v1/messages", json={"chat_id": CHAT, "content": "x", **body}, headers=bruno
        )
        assert loop.time() - started >= least
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert uuid.UUID(answer.json()["message_id"])
        assert not body or answer.json()["message_id"] == own


async def test_a_full_queue_is_503_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bruno = await api.sign_in("bruno")

    async def fail(key: ConversationId, value: bytes, _: Headers = ()) -> LogPosition:
        raise Overloaded("full")

    monkeypatch.setattr(api.parts.log, "append", fail)
    body = {"chat_id": CHAT, "content": "x"}
    answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/overloaded")
    assert uuid.UUID(answer.json()["message_id"])


async def test_what_the_log_will_never_take_is_422_without_an_id_to_retry_with(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when it is 503: a client would send it again for ever."""
    bruno = await api.sign_in("bruno")

    async def fail(key: ConversationId, value: bytes, _: Headers = ()) -> LogPosition:
        raise NotAccepted("the message log does not take this record: too large")

    monkeypatch.setattr(api.parts.log, "append", fail)
    body = {"chat_id": CHAT, "content": "x"}
    answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-accepted")
    assert "Retry-After" not in answer.headers
    assert "message_id" not in answer.json()


class _NothingStored:
    async def with_id(self, conversation: ConversationId, message_id: MessageId) -> list[Any]:
        return []


async def test_the_gateway_marks_only_its_own_ids_as_fresh() -> None:
    written: list[bytes] = []

    class Log(_NoLog):
        async def append(
            self, key: ConversationId, value: bytes, headers: Headers = ()
        ) -> LogPosition:
            written.append(value)
            return LogPosition(0, 0, 1)

    made, log = "0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47", Log(Exception())
    sending = Sending(log, _OneChat(), _NothingStored(), attaching(), new_id=lambda: made)
    chat = ConversationId(CHAT)
    await sending.send(Username("bruno"), MessageDraft(chat, "x"))
    await sending.send(Username("bruno"), MessageDraft(chat, "x", MessageId(made)))
    log.clock_is_right = False  # the next ids would look newer than they are
    await sending.send(Username("bruno"), MessageDraft(chat, "x"))
    assert [b'"fresh":true' in value for value in written] == [True, False, False]
