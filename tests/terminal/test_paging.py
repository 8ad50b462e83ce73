"""Any stretch of a history, oldest first."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from chat4all.client import Client, Page
from chat4all.terminal.paging import PAGE_MAX, stretch
from tests.terminal.made import message

pytestmark = pytest.mark.anyio


class History:
    """A client whose conversation has so many messages; one more comes with each page."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.limits: list[int] = []

    async def history(
        self, conversation: str, *, after: int | None = None, limit: int = 50
    ) -> AsyncIterator[Page]:
        self.limits.append(limit)
        if after is None:
            yield self._page(max(0, self.count - limit), self.count)
            return
        while after < self.count:
            last = min(after + limit, self.count)
            yield self._page(after, last)
            after = last

    def _page(self, after: int, last: int) -> Page:
        self.count += 1
        return Page(tuple(message(seq) for seq in range(after + 1, last + 1)), f"{last}.0")


@pytest.mark.parametrize(
    ("count", "before", "after", "first", "last"),
    [
        (50, None, None, 951, 1000),
        (None, None, None, 1, 1000),
        (5000, None, None, 1, 1000),
        (300, None, None, 701, 1000),
        (10, 100, None, 90, 99),
        (None, 100, None, 1, 99),
        (10, 5000, None, 991, 1000),
        (10, None, 100, 101, 110),
        (None, None, 900, 901, 1000),
        (10, 105, 100, 101, 104),
        (10, 1, None, 1, 0),
        (10, None, 1000, 1, 0),
        (10, 50, 100, 1, 0),
    ],
)
async def test_a_stretch_is_what_was_asked_for(
    count: int | None, before: int | None, after: int | None, first: int, last: int
) -> None:
    chat = cast("Client", History(1000))
    part = await stretch(chat, "chat", count, before, after)
    found = [one.seq async for page in part.pages(chat) for one in page]
    assert found == list(range(first, last + 1))
    assert len(part) == len(found)


async def test_no_page_is_larger_than_needed_or_than_the_server_gives() -> None:
    history = History(1000)
    chat = cast("Client", history)
    for count in (3, 500):
        part = await stretch(chat, "chat", count, None, None)
        _ = [page async for page in part.pages(chat)]
    assert history.limits == [1, 3, 1, PAGE_MAX]


async def test_an_empty_history_has_nothing() -> None:
    chat = cast("Client", History(0))
    part = await stretch(chat, "chat", 10, None, None)
    assert [page async for page in part.pages(chat)] == []
