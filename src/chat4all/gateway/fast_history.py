"""The fast route of `GET /v1/conversations/{id}/messages`, for the usual spellings of its query.

FastAPI's overhead for a request exceeds a page's cost (docs/decisions/0003-lean-send-route.md).
"""

import re

from starlette.types import Receive, Scope, Send

from chat4all.domain.ids import UUID_PATTERN, Username, conversation_id
from chat4all.domain.position import Position
from chat4all.gateway.pages import (
    HISTORY_PATH,
    PageAnswer,
    PageQuery,
    Pages,
    page_headers,
    read_page,
)
from chat4all.http.access_log import CALLER
from chat4all.http.bearer import bearer_token
from chat4all.http.fast_routes import FastRoute
from chat4all.http.methods import WAS_HEAD
from chat4all.http.problems import problem_response
from chat4all.usecases.delivered import Delivered
from chat4all.usecases.reading import LIMIT_DEFAULT, LIMIT_MAX, Reading
from chat4all.usecases.signing_in import SigningIn
from chat4all.wire.records import SEQ_MAX

_PATH = re.compile(HISTORY_PATH.format(conversation_id=f"({UUID_PATTERN[1:-1]})"))
_BOUNDS = {b"before": "before", b"after": "after", b"around": "around"}
_DIGITS_MAX = len(str(SEQ_MAX))


def fast_history_route(
    signing_in: SigningIn, reading: Reading, pages: Pages, delivered: Delivered
) -> FastRoute:
    """Return the route that answers ordinary requests for a page."""
    endpoint = _HistoryEndpoint(signing_in, reading, pages, delivered)
    return FastRoute(HISTORY_PATH, "GET", endpoint, is_shared=True)


class _HistoryEndpoint:
    def __init__(
        self, signing_in: SigningIn, reading: Reading, pages: Pages, delivered: Delivered
    ) -> None:
        self._signing_in = signing_in
        self._reading = reading
        self._pages = pages
        self._delivered = delivered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer with a cached page, a new one or a problem; or decline."""
        address = (scope["path"], scope["query_string"])
        cached = self._pages.get(address)
        query = cached.query if cached else _page_query(*address)
        if query is None:
            return False
        try:
            session = await self._signing_in.authenticate(bearer_token(scope))
            scope[CALLER] = session
            # A page's statuses were computed for its version's members: compared by identity, and
            # read last, because the version may be superseded while members are asked for.
            if (
                cached is None
                or await self._reading.members(session.username, query.conversation)
                is not cached.page.version.members
            ):
                cached = await self._make(session.username, query)
                self._pages.keep(address, cached)
        except Exception as error:
            await problem_response(error, scope["path"])(scope, receive, send)
            return True
        await send({"type": "http.response.start", "status": 200, "headers": [*cached.headers]})
        await send({"type": "http.response.body", "body": cached.page.body})
        if cached.page.last and not scope.get(WAS_HEAD):
            self._delivered.note(query.conversation, session.username, cached.page.last)
        return True

    async def _make(self, reader: Username, query: PageQuery) -> PageAnswer:
        page = await read_page(self._reading, reader, query)
        return PageAnswer(query, page, page_headers(query, page))


def _page_query(path: str, query: bytes) -> PageQuery | None:
    """Return the query of a request; None where FastAPI's route decides."""
    conversation = _PATH.fullmatch(path)
    if conversation is None:
        return None
    limit: int | None = None
    bounds: dict[str, int] = {}
    at_least: Position | None = None
    for part in query.split(b"&") if query else ():
        name, _, digits = part.partition(b"=")
        if name == b"at_least" and at_least is None:
            try:
                at_least = Position.parse(digits.decode("ascii"))
            except ValueError:
                return None
            continue
        if not digits.isdigit() or len(digits) > _DIGITS_MAX:
            return None
        if name == b"limit" and limit is None:
            limit = int(digits)
        elif name in _BOUNDS and not bounds:
            bounds[_BOUNDS[name]] = int(digits)
        else:
            return None
    limit = LIMIT_DEFAULT if limit is None else limit
    if not 1 <= limit <= LIMIT_MAX or max(bounds.values(), default=0) > SEQ_MAX:
        return None
    return PageQuery(conversation_id(conversation[1]), limit, bounds, at_least)
