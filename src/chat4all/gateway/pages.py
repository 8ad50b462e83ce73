"""Pages of history that were answered before and still hold, answered again without asking.

Everybody in a conversation reads the same page, and again and again. Between two changes it is the
same bytes; so the answer is kept, until the feed announces anything of its conversation
(docs/decisions/0006-kept-pages.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cachetools import LRUCache

from chat4all.domain.ids import ConversationId
from chat4all.usecases.reading import HistoryPage
from chat4all.usecases.versions import ConversationVersions

BYTES_MAX = 64 * 1024 * 1024
"""Of kept pages in all, some 4,000 full ones of 50; those not asked for longest go first."""

BYTES_BESIDE_BODY = 1_500
"""What an answer takes beside its body, about: its address, its headers, the objects around it."""

Address: TypeAlias = tuple[str, bytes]
"""Path and query of a request, as they came."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page: `bounds` has at most one of before, after and around."""

    conversation: ConversationId
    limit: int
    bounds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """A page as it was answered."""

    asked: Asked
    page: HistoryPage
    headers: list[tuple[bytes, bytes]]


class Pages:
    """Answers by their address, each of a conversation as it still is."""

    def __init__(self, versions: ConversationVersions) -> None:
        self._versions = versions
        self._kept: LRUCache[Address, Answer] = LRUCache(BYTES_MAX, _size)

    def keep(self, address: Address, answer: Answer) -> None:
        """Keep an answer, unless a change has overtaken it."""
        if _size(answer) <= BYTES_MAX and self._holds(answer):
            self._kept[address] = answer

    def get(self, address: Address) -> Answer | None:
        """Return what is kept for an address, if its conversation has not changed."""
        found = self._kept.get(address)
        return found if found is not None and self._holds(found) else None

    def _holds(self, answer: Answer) -> bool:
        return self._versions.is_current(answer.asked.conversation, answer.page.version)


def _size(answer: Answer) -> int:
    return len(answer.page.body) + BYTES_BESIDE_BODY
