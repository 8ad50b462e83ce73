"""Pages of history: their queries, headers and answers, and the cache of answers.

The members of a conversation read the same page again and again, and between two changes it has the
same bytes: the answer is cached until the feed announces a change of its conversation
(docs/decisions/0006-kept-pages.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cachetools import LRUCache

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.position import Position
from chat4all.usecases.reading import HistoryPage, Reading
from chat4all.usecases.versions import ConversationVersions

BYTES_MAX = 64 * 1024 * 1024
"""Of all cached pages: some 4,000 full ones of 50. The least recently used are dropped first."""

BYTES_BESIDE_BODY = 1_500
"""What an answer takes besides its body, roughly: its address, headers and objects."""

HISTORY_PATH = "/v1/conversations/{conversation_id}/messages"

Address: TypeAlias = tuple[str, bytes]
"""Path and query of a request, as received."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page: `bounds` has at most one of before, after and around.

    `at_least` is a position that a cached page has to reach (EXACTNESS 20a).
    """

    conversation: ConversationId
    limit: int
    bounds: Mapping[str, int]
    at_least: Position | None = None


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A page as it was answered."""

    query: PageQuery
    page: HistoryPage
    headers: list[tuple[bytes, bytes]]


async def read_page(reading: Reading, reader: Username, query: PageQuery) -> HistoryPage:
    """Return a page. Raises what `Reading.history` raises."""
    return await reading.history(reader, query.conversation, limit=query.limit, **query.bounds)


def page_headers(query: PageQuery, page: HistoryPage) -> list[tuple[bytes, bytes]]:
    """Return the headers of a page. Its `Link` names no host, to be right behind any proxy."""
    places = {"prev": ("before", page.older), "next": ("after", page.newer)}
    path = HISTORY_PATH.format(conversation_id=query.conversation)
    also = "" if query.at_least is None else f"&at_least={query.at_least}"
    links = [
        f'<{path}?{bound}={seq}&limit={query.limit}{also}>; rel="{rel}"'
        for rel, (bound, seq) in places.items()
        if seq is not None
    ]
    headers = [
        (b"chat4all-position", str(page.position).encode()),
        (b"content-length", b"%d" % len(page.body)),
        (b"content-type", b"application/json"),
    ]
    return [(b"link", ", ".join(links).encode()), *headers] if links else headers


class Pages:
    """A cache of answers by address. An answer is valid while its conversation has not changed."""

    def __init__(self, versions: ConversationVersions) -> None:
        self._versions = versions
        self._answers: LRUCache[Address, PageAnswer] = LRUCache(BYTES_MAX, _size)

    def keep(self, address: Address, answer: PageAnswer) -> None:
        """Cache an answer, unless its conversation has changed meanwhile."""
        query, version = answer.query, answer.page.version
        if _size(answer) <= BYTES_MAX and self._versions.is_current(query.conversation, version):
            self._answers[address] = answer

    def get(self, address: Address) -> PageAnswer | None:
        """Return the cached answer to an address, if its conversation has not changed.

        One that does not reach the least position that its query names is not returned either.
        """
        try:
            answer = self._answers[address]
        except KeyError:
            return None
        least = answer.query.at_least
        if least is not None and not answer.page.position.covers(least):
            return None
        is_current = self._versions.is_current(answer.query.conversation, answer.page.version)
        return answer if is_current else None


def _size(answer: PageAnswer) -> int:
    return len(answer.page.body) + BYTES_BESIDE_BODY
