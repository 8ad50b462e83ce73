"""Pages of history that were answered before and still hold, answered again without asking.

Everybody in a conversation reads the same page, and again and again. Between two changes it is the
same bytes; so the answer is kept, until the feed announces anything of its conversation
(docs/decisions/0006-kept-pages.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from cachetools import LRUCache
from starlette.types import ASGIApp, Receive, Scope, Send

from chat4all.domain.errors import Chat4AllError
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Role
from chat4all.ports import Directory
from chat4all.usecases.signing_in import SigningIn
from chat4all.web.bearer import bearer_token

HISTORY_PATH = "/v1/conversations/{conversation_id}/messages"

BYTES_MAX = 16 * 1024 * 1024
"""Of kept pages in all; those not asked for longest go first."""

CONVERSATIONS_MAX = 20_000

_Address: TypeAlias = tuple[str, bytes]
"""Path and query of a request, as they came."""


class Unchanged:
    """Stands for a conversation as long as nothing of it was announced; compared by identity."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    conversation: ConversationId
    unchanged: Unchanged
    members: Mapping[Username, Role]
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Pages:
    """Answers by their address, each of a conversation as it still is.

    `hearing` says whether changes are being heard of; while they are not, nothing kept is good.
    """

    def __init__(self, hearing: Callable[[], bool]) -> None:
        self._hearing = hearing
        self._unchanged: LRUCache[str, Unchanged] = LRUCache(CONVERSATIONS_MAX)
        self._kept: LRUCache[_Address, _Kept] = LRUCache(BYTES_MAX, lambda kept: len(kept.body))

    def changed(self, conversation: str) -> None:
        """Forget what was kept of a conversation, and what is being read of it now."""
        self._unchanged.pop(conversation, None)

    def before_reading(self, conversation: ConversationId) -> Unchanged:
        """Return what `keep` wants: an answer that was overtaken by a change must not be kept."""
        found = self._unchanged.get(conversation)
        if found is None:
            found = self._unchanged[conversation] = Unchanged()
        return found

    def keep(
        self,
        address: _Address,
        conversation: ConversationId,
        unchanged: Unchanged,
        members: Mapping[Username, Role],
        headers: list[tuple[bytes, bytes]],
        body: bytes,
    ) -> None:
        """Keep an answer for the members that it was made for."""
        if len(body) < BYTES_MAX and self._unchanged.get(conversation) is unchanged:
            self._kept[address] = _Kept(conversation, unchanged, members, headers, body)

    def get(self, address: _Address) -> _Kept | None:
        """Return what is kept for an address, if its conversation has not changed."""
        found = self._kept.get(address)
        if found is None or self._unchanged.get(found.conversation) is not found.unchanged:
            return None
        return found if self._hearing() else None


class PagesFirst:
    """ASGI: answers with a kept page whom it is for, and leaves every other request as it is."""

    path = HISTORY_PATH

    def __init__(
        self, pages: Pages, signing_in: SigningIn, directory: Directory, otherwise: ASGIApp
    ) -> None:
        self._pages = pages
        self._signing_in = signing_in
        self._directory = directory
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "http" and scope["method"] == "GET":
            kept = self._pages.get((scope["path"], scope["query_string"]))
            if kept is not None and await self._is_for(scope, kept):
                scope["route"] = self  # as a router does, for whoever asks what route it was
                await send(
                    {"type": "http.response.start", "status": 200, "headers": [*kept.headers]}
                )
                await send({"type": "http.response.body", "body": kept.body})
                return
        await self._otherwise(scope, receive, send)

    async def _is_for(self, scope: Scope, kept: _Kept) -> bool:
        """Ask what the route itself asks; whoever is refused gets its refusal from the route."""
        try:
            session = await self._signing_in.authenticate(bearer_token(scope))
            members = await self._directory.members(kept.conversation)
        except Chat4AllError:
            return False
        # The statuses on a page are those for the members at that time: the very same answer.
        return members is kept.members and session.username in members
