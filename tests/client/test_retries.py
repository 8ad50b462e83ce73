"""What a call does when it is not answered, or not well."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chat4all.client import (
    Client,
    Defect,
    InvalidInput,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from tests.client.answering import LOST, NEVER, Answer, Answering, answering

pytestmark = pytest.mark.anyio

CHAT = "550e8400-e29b-41d4-a716-446655440000"
ACCEPTED = (202, {"status": "accepted", "message_id": CHAT})
UNKNOWN = (503, {"type": "/problems/outcome-unknown", "detail": "unknown"}, {"Retry-After": "1"})
BUSY = (503, {"type": "/problems/overloaded", "detail": "busy"}, {"Retry-After": "1"})
CHECKED = (409, {"type": "/problems/being-checked", "detail": "wait"}, {"Retry-After": "3"})
GONE = (404, {"type": "/problems/not-found", "detail": "no such thing"})


SPENT = 20
"""Seconds that a slow machine may have taken."""

NO_MORE = 1e12
"""A pace at which the first wait is longer than any deadline."""


@asynccontextmanager
async def talking(*answers: Answer, seconds: float = 10) -> AsyncIterator[tuple[Client, Answering]]:
    """Open a client of a server that gives these answers."""
    async with (
        answering(*answers) as server,
        Client(server.url, token="t", timeout=seconds) as chat,
    ):
        chat._pace.factor = 0.01
        yield chat, server


@pytest.mark.parametrize(
    "answer", [LOST, UNKNOWN, BUSY, CHECKED, (429, {}), (502, "bad gateway")], ids=str
)
async def test_a_message_is_sent_again_under_its_id(answer: Answer) -> None:
    async with talking(answer, answer, ACCEPTED) as (chat, server):
        message_id = await chat.send(CHAT, "x")
        ids = [body["message_id"] for *_, body in server.requests]
        assert ids == [message_id] * 3


async def test_retry_after_is_waited_for() -> None:
    async with talking((429, {}, {"Retry-After": "20"}), ACCEPTED) as (chat, _):
        begun = time.monotonic()
        await chat.send(CHAT, "x")
        assert time.monotonic() - begun >= 0.2  # 20 s, a hundred times faster


async def test_what_will_be_too_late_is_not_waited_for() -> None:
    async with talking((429, {"detail": "slowly"}, {"Retry-After": "3600"})) as (chat, server):
        with pytest.raises(Unavailable, match="slowly") as given_up:
            await chat.send(CHAT, "x")
        assert (given_up.value.status, given_up.value.retry_after) == (429, 3600)
        assert not isinstance(given_up.value, OutcomeUnknown)
        assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [LOST, UNKNOWN], ids=str)
async def test_what_is_given_up_says_what_to_repeat(answer: Answer) -> None:
    async with talking(answer) as (chat, server):
        chat._pace.factor = NO_MORE
        with pytest.raises(OutcomeUnknown) as given_up:
            await chat.send(CHAT, "x")
        assert given_up.value.message_id == server.requests[0][3]["message_id"]
        with pytest.raises(OutcomeUnknown) as given_up:
            await chat.react(CHAT, CHAT, "👍")
        key = server.requests[-1][2]["idempotency-key"]
        assert f'"{given_up.value.change_id}"' == key


async def test_a_call_has_a_deadline() -> None:
    async with talking(NEVER, seconds=0.2) as (chat, _):
        begun = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await chat.send(CHAT, "x")
        assert time.monotonic() - begun >= 0.2


async def test_a_failure_after_a_lost_answer_leaves_the_outcome_unknown() -> None:
    async with talking(LOST, (503, {"detail": "busy"}, {"Retry-After": "3600"})) as (chat, _):
        with pytest.raises(OutcomeUnknown, match="busy"):
            await chat.send(CHAT, "x")


async def test_a_server_that_is_not_there() -> None:
    async with Client("http://127.0.0.1:1", token="t") as chat:
        chat._pace.factor = NO_MORE
        with pytest.raises(Unavailable, match="does not answer") as given_up:
            await chat.send(CHAT, "x")
        assert not isinstance(given_up.value, OutcomeUnknown)


async def test_a_removal_that_was_done_by_an_earlier_try() -> None:
    async with talking(LOST, GONE) as (chat, _):
        await chat.delete_conversation(CHAT)
    async with talking(BUSY, GONE) as (chat, _):
        with pytest.raises(NotFound):
            await chat.delete_conversation(CHAT)


SIGNED_OUT = (401, {"type": "/problems/not-signed-in", "detail": "signed out"})


@pytest.mark.parametrize("status", [403, 404, 409])
async def test_a_repetition_that_is_refused_leaves_it_open_whether_it_was_done(status: int) -> None:
    """An owner who has given their role away may not do it again; one who was removed not send."""
    refused = (status, {"type": "/problems/x", "detail": "not now"})
    async with talking(LOST, refused) as (chat, _):
        with pytest.raises(OutcomeUnknown, match="not now") as unknown:
            await chat.send(CHAT, "x")
        assert unknown.value.message_id is not None
    async with talking(LOST, (422, {"type": "/problems/x", "detail": "never"})) as (chat, _):
        with pytest.raises(InvalidInput):
            await chat.send(CHAT, "x")
    async with talking(LOST, refused) as (chat, _):
        with pytest.raises(Refused):
            await chat.me()


@pytest.mark.parametrize(("answer", "error"), [(GONE, OutcomeUnknown), (SIGNED_OUT, NotSignedIn)])
async def test_a_deletion_of_a_message_is_not_taken_for_done(
    answer: Answer, error: type[Exception]
) -> None:
    """Its message is not stored yet, or the session has ended: nothing was deleted."""

    async def get_token() -> str:
        return "t"

    async with (
        answering(LOST, answer) as server,
        Client(server.url, get_token=get_token) as chat,
    ):
        chat._pace.factor = 0.01
        for change in (chat.delete(CHAT, CHAT), chat.unreact(CHAT, CHAT, "👍")):
            with pytest.raises(error):
                await change
            server._answers.insert(0, LOST)


async def test_a_sign_out_that_was_done_by_an_earlier_try() -> None:
    async with talking(LOST, SIGNED_OUT) as (chat, _):
        await chat.logout()
    async with talking(SIGNED_OUT) as (chat, _):
        with pytest.raises(NotSignedIn):
            await chat.logout()


async def test_a_creation_that_is_given_up_says_its_key() -> None:
    busy = (503, {"detail": "busy", "request_id": "r"}, {"Retry-After": "3600"})
    async with talking(LOST, busy) as (chat, server):
        with pytest.raises(OutcomeUnknown, match="busy") as given_up:
            await chat.create_group("x")
        assert f'"{given_up.value.key}"' == server.requests[0][2]["idempotency-key"]
        assert given_up.value.request_id == "r"


async def test_of_what_only_reads_no_outcome_is_unknown() -> None:
    async with talking(LOST) as (chat, _):
        chat._pace.factor = NO_MORE
        with pytest.raises(Unavailable) as given_up:
            await chat.me()
        assert not isinstance(given_up.value, OutcomeUnknown)


async def test_creations_are_repeated_under_one_key() -> None:
    created: dict[str, object] = {
        "conversation_id": CHAT,
        "type": "group",
        "title": None,
        "members": [],
        "metadata": {},
        "created_at": "",
    }
    async with talking(LOST, UNKNOWN, (201, created)) as (chat, server):
        assert (await chat.create_group("x")).conversation_id == CHAT
        assert len({headers["idempotency-key"] for _, _, headers, _ in server.requests}) == 1


async def test_a_new_password_is_not_set_twice() -> None:
    me = (200, {"username": "ana", "display_name": None, "created_at": "", "email": ""})
    async with talking(me, LOST) as (chat, server):
        with pytest.raises(OutcomeUnknown):
            await chat.change_me(password="a", current_password="b")
        assert len(server.requests) == 2


async def test_what_is_refused_is_not_sent_again() -> None:
    async with talking((422, {"errors": [{"pointer": "/content", "detail": "no"}]})) as (chat, one):
        with pytest.raises(InvalidInput, match="/content: no"):
            await chat.send(CHAT, "x")
        assert len(one.requests) == 1


@pytest.mark.parametrize("answer", [(200, "<html>"), (302, "", {"Location": "/x"})], ids=str)
async def test_another_server(answer: Answer) -> None:
    async with talking(answer) as (chat, _):
        with pytest.raises(Defect):
            await chat.me()
        with pytest.raises(Defect):
            await anext(chat.events())


async def test_what_a_newer_server_says_is_read() -> None:
    message = {
        "conversation_id": CHAT,
        "message_id": CHAT,
        "sender_id": "ana",
        "content": "see my poll",
        "created_at": "",
        "status": "SEEN_BY_MARTIANS",
        "seq": 1,
        "edited_at": None,
        "deleted_at": None,
        "reactions": [],
        "kind": "poll",
        "payload": {"options": []},
        "reply_to": None,
        "mentions": [],
        "new": 1,
    }
    async with talking((200, message)) as (chat, _):
        assert (await chat.message(CHAT, CHAT)).kind == "poll"


async def test_a_token_that_cannot_be_renewed_is_used_while_it_is_good() -> None:
    token = {"access_token": "a", "refresh_token": "r", "expires_in": 0}
    me = {"username": "ana", "display_name": None, "created_at": "", "email": ""}
    busy: Answer = (503, {}, {"Retry-After": "3600"})
    async with (
        answering((200, token), (200, me), busy, (200, me)) as server,
        Client(server.url, "ana", "test", on_tokens=lambda _: None) as chat,
    ):
        for _ in range(3):
            assert (await chat.me()).username == "ana"
        paths = [path for _, path, *_ in server.requests]
        assert paths == ["/token", "/v1/me", "/token", "/v1/me", "/v1/me"]


async def test_a_cancelled_call_ends_at_once() -> None:
    async with talking(NEVER) as (chat, server):
        calling = asyncio.create_task(chat.me())
        async with asyncio.timeout(30):
            while not server.requests:
                await asyncio.sleep(0.001)
        calling.cancel()
        await asyncio.wait([calling])
        assert calling.cancelled()


@pytest.mark.parametrize(("given", "renewed_in"), [("t", None), (("t", 100.0), 80)])
async def test_a_token_is_renewed_before_the_end_that_get_token_names(
    given: str | tuple[str, float], renewed_in: float | None
) -> None:
    async def get_token() -> str | tuple[str, float]:
        return given

    async with answering((202, {})) as server, Client(server.url, get_token=get_token) as chat:
        await chat.read(CHAT, 1)
        renew_at = chat._tokens.renew_at
        found = None if renew_at is None else renew_at - time.monotonic()
    assert found == (renewed_in and pytest.approx(renewed_in, abs=SPENT))
