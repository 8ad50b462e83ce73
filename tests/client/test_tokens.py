"""The token: renewed once for all who wait, and for nobody who need not wait."""

import asyncio

import pytest

from chat4all.client import Unavailable, tokens
from chat4all.client.timing import Pace
from chat4all.client.tokens import AskedToken, Tokens

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


async def test_what_is_refused_is_waited_for() -> None:
    source = Source()
    one = Tokens(source)
    first = await one.get()
    waiting = [asyncio.create_task(one.get(refused=first)) for _ in range(3)]
    source.may_answer.set()
    assert await asyncio.gather(*waiting) == ["token 2"] * 3


async def test_a_function_that_never_returns_a_token_is_given_up() -> None:
    async def get_token() -> str:
        return str(await asyncio.Event().wait())

    async with asyncio.timeout(30):
        with pytest.raises(Unavailable, match="get_token"):
            await Tokens(AskedToken(get_token, Pace(0.0001))).get()
