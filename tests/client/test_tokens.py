"""The token: renewed once for all who wait, and for nobody who need not wait."""

import asyncio

import pytest

from chat4all.client import Client, Closed, Defect, Token, Unavailable, tokens
from chat4all.client.calling import Call
from chat4all.client.timing import Pace
from chat4all.client.tokens import AskedToken, Tokens
from tests.client.answering import Answer, answering

pytestmark = pytest.mark.anyio


class Source:
    """Gives the first token at once, and each other one when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def next(self) -> tuple[str, float | None]:
        self.asked += 1
        if self.asked > 1:
            await self.may_answer.wait()
        return f"token {self.asked}", 1000.0


async def test_nobody_waits_for_the_next_token_while_the_present_one_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The part that gives tokens does not answer; everything else does."""
    monkeypatch.setattr(tokens, "RENEWED_AT", 0)
    source = Source()
    one = Tokens(source)
    async with asyncio.timeout(30):
        assert [await one.get() for _ in range(3)] == ["token 1"] * 3
        renewing = asyncio.create_task(one.renewed())
        await asyncio.sleep(0)
        assert await one.get() == "token 1"
        source.may_answer.set()
        assert await renewing == "token 2"
        assert source.asked == 2


async def test_tokens_are_not_printed() -> None:
    token = Token(access_token="secret", expires_in=60, refresh_token="secret")
    for text in (repr(token), str(token), f"{[*token.__rich_repr__()]}"):
        assert "secret" not in text
    assert "secret" not in repr(Call("POST", "/token", form={"refresh_token": "secret"}))


async def test_a_renewal_that_fails_beside_the_calls_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program could not keep its refresh token: an operator has to know it in time."""
    monkeypatch.setattr(tokens, "RENEWED_AT", 0)
    source = Source()
    one = Tokens(source)
    await one.get()

    async def fail() -> tuple[str, float | None]:
        raise RuntimeError("secret")

    source.next = fail  # type: ignore[method-assign]
    assert await one.get() == "token 1"
    async with asyncio.timeout(30):
        while one._renewal is not None:
            await asyncio.sleep(0)
    assert [r.getMessage() for r in caplog.records] == ["the token was not renewed: RuntimeError"]


async def test_what_is_refused_is_waited_for() -> None:
    source = Source()
    one = Tokens(source)
    first = await one.get()
    waiting = [asyncio.create_task(one.get(refused=first)) for _ in range(3)]
    source.may_answer.set()
    assert await asyncio.gather(*waiting) == ["token 2"] * 3


async def test_an_error_of_the_program_stays_what_it_is() -> None:
    async def get_token() -> str:
        return str(int("no JSON"))

    async with Client("http://127.0.0.1:1", get_token=get_token) as chat:
        with pytest.raises(ValueError, match="no JSON"):
            await anext(chat.events())


async def test_something_else_in_the_place_of_the_server() -> None:
    """Another address at first; a proxy without a server later, which must not end the session."""
    page: Answer = (404, "<html>")
    async with answering(page) as server, Client(server.url, "ana", "test") as chat:
        with pytest.raises(Defect, match="404: is it the address"):
            await chat.me()
    token = {"access_token": "a", "refresh_token": "r", "expires_in": 0}
    me = {"username": "ana", "display_name": None, "created_at": "", "email": ""}
    other = token | {"access_token": "b"}
    gone = (401, {"type": "/problems/not-signed-in"})
    async with (
        answering((200, token), gone, page, gone, (200, other), (200, me), (204, "")) as server,
        Client(server.url, "ana", "test") as chat,
    ):
        chat._pace.factor = 0.01
        assert (await chat.me()).username == "ana"


async def test_a_function_that_never_returns_a_token_is_given_up() -> None:
    async def get_token() -> str:
        return str(await asyncio.Event().wait())

    async with asyncio.timeout(30):
        with pytest.raises(Unavailable, match="get_token"):
            await Tokens(AskedToken(get_token, Pace(0.0001))).get()


async def test_a_call_that_waits_for_a_token_is_told_that_the_client_was_closed() -> None:
    """It was not cancelled: a task that ends as if it had been is missed by nobody."""
    asked = asyncio.Event()

    async def get_token() -> str:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("it waits until it is cancelled")

    chat = Client("http://127.0.0.1:1", get_token=get_token)
    async with chat:
        calling = asyncio.ensure_future(chat.me())
        async with asyncio.timeout(30):
            await asked.wait()
    with pytest.raises(Closed):
        await calling


async def test_who_is_cancelled_while_waiting_for_a_token_is_cancelled() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def get_token() -> str:
        asked.set()
        await answer.wait()
        return "t"

    async with (
        answering((200, [])) as server,
        Client(server.url, get_token=get_token) as chat,
    ):
        first, second = (asyncio.ensure_future(chat.sessions()) for _ in range(2))
        async with asyncio.timeout(30):
            await asked.wait()
            first.cancel()
            await asyncio.wait([first])
            assert first.cancelled()
            answer.set()
            assert await second == ()
