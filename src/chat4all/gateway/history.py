"""`GET /v1/conversations/{id}/messages`, whole pages and single messages.

FastAPI spends more on a request than making a page costs; so `HistoryEndpoint` stands before it and
answers what is asked in the ordinary way. The route is there for everything else: other spellings
of the same, refusals, and the description in /docs (docs/decisions/0003-lean-send-route.md).
"""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.ids import UUID_PATTERN, ConversationId, MessageId, Username
from chat4all.domain.people import Session
from chat4all.domain.records import MessageRecord
from chat4all.gateway.pages import Answer, Asked, Pages
from chat4all.http.bearer import Authenticate, bearer_token
from chat4all.http.docs import json_content, problems
from chat4all.http.problems import problem_response
from chat4all.usecases.reading import LIMIT_DEFAULT, LIMIT_MAX, HistoryPage, Reading
from chat4all.usecases.signing_in import SigningIn
from chat4all.wire.messages import (
    EXAMPLE_CHAT,
    EXAMPLE_MESSAGE,
    MessageView,
    accepted_view,
    message_view,
)
from chat4all.wire.records import SEQ_MAX

UuidPath = Annotated[str, Path(pattern=UUID_PATTERN, examples=[EXAMPLE_CHAT])]
Seq = Annotated[int | None, Query(ge=0, le=SEQ_MAX)]

HISTORY_PATH = "/v1/conversations/{conversation_id}/messages"

_PATH = re.compile(HISTORY_PATH.format(conversation_id=f"({UUID_PATTERN[1:-1]})"))
_BOUNDS = {b"before": "before", b"after": "after", b"around": "around"}
_DIGITS_MAX = len(str(SEQ_MAX))

_encoder = msgspec.json.Encoder()


class HistoryEndpoint:
    """ASGI: answers whoever asks plainly for a page, and passes every other request on."""

    path = HISTORY_PATH

    def __init__(
        self, signing_in: SigningIn, reading: Reading, pages: Pages, fallback: ASGIApp
    ) -> None:
        self._signing_in = signing_in
        self._reading = reading
        self._pages = pages
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page that was kept or is made now, or with a problem; or pass on."""
        kept = asked = None
        if scope["type"] == "http" and scope["method"] == "GET":
            address = (scope["path"], scope["query_string"])
            kept = self._pages.get(address)
            asked = kept.asked if kept else _asked_plainly(*address)
        if asked is None:
            await self._fallback(scope, receive, send)
            return
        scope["route"] = self  # as a router does, for whoever asks what route it was
        try:
            session = await self._signing_in.authenticate(bearer_token(scope))
            if kept is None or not await self._is_for(session.username, kept):
                kept = await self._make(session.username, asked)
                self._pages.keep(address, kept)
        except Exception as error:
            await problem_response(error, scope["path"])(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [*kept.headers]})
        await send({"type": "http.response.body", "body": kept.page.body})

    async def _is_for(self, reader: Username, kept: Answer) -> bool:
        """Say whether this answer is the reader's too. Raises `NotFound` for who is no member."""
        # The statuses on a page are those for the members at that time: the very same answer.
        members = await self._reading.members(reader, kept.asked.conversation)
        return members is kept.page.version.members

    async def _make(self, reader: Username, asked: Asked) -> Answer:
        page = await _read(self._reading, reader, asked)
        return Answer(asked, page, _headers(asked, page))


def _asked_plainly(path: str, query: bytes) -> Asked | None:
    """Return what is asked for, or None when the route must see to it, if only to refuse it."""
    conversation = _PATH.fullmatch(path)
    if conversation is None:
        return None
    limit: int | None = None
    bounds: dict[str, int] = {}
    for part in query.split(b"&") if query else ():
        name, _, digits = part.partition(b"=")
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
    return Asked(ConversationId(conversation[1].lower()), limit, bounds)


def history_routes(reading: Reading, caller: Authenticate) -> APIRouter:
    """Return the routes that read messages."""
    router = APIRouter(tags=["Messages"])

    @router.get(
        HISTORY_PATH,
        summary="Read the history",
        operation_id="read_history",
        response_class=Response,
        responses={
            200: {
                "description": "Up to `limit` messages, oldest first.",
                "content": json_content(MessageView, many=True),
                "headers": {
                    "Link": {
                        "description": 'The neighbouring pages, RFC 8288: `rel="prev"` is older, '
                        '`rel="next"` newer.',
                        "schema": {"type": "string"},
                    }
                },
            },
            **problems(401, 404, 422, 503),
        },
    )
    async def history(
        session: Annotated[Session, Depends(caller)],
        conversation_id: UuidPath,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        before: Seq = None,
        after: Seq = None,
        around: Seq = None,
    ) -> Response:
        """Return the newest page, or the one below `before`, above `after` or around a `seq`."""
        given = {"before": before, "after": after, "around": around}
        bounds = {name: seq for name, seq in given.items() if seq is not None}
        if len(bounds) > 1:
            raise InvalidInput([FieldError("/query", "give one of before, after and around")])
        asked = Asked(ConversationId(conversation_id.lower()), limit, bounds)
        page = await _read(reading, session.username, asked)
        response = Response(page.body)
        response.raw_headers = _headers(asked, page)
        return response

    @router.get(
        HISTORY_PATH + "/{message_id}",
        summary="Read one message",
        operation_id="read_message",
        response_class=Response,
        responses={
            200: {"description": "The message.", "content": json_content(MessageView)},
            **problems(401, 404, 422, 503),
        },
    )
    async def message(
        session: Annotated[Session, Depends(caller)],
        conversation_id: UuidPath,
        message_id: Annotated[str, Path(pattern=UUID_PATTERN, examples=[EXAMPLE_MESSAGE])],
    ) -> Response:
        """Return a message by its id: your own of this id, else the first one that has it.

        Right after its 202 it is `SENT`, without a number.
        """
        found = await reading.message(
            session.username,
            ConversationId(conversation_id.lower()),
            MessageId(message_id.lower()),
        )
        view = accepted_view(found) if isinstance(found, MessageRecord) else message_view(*found)
        return Response(_encoder.encode(view), media_type="application/json")

    return router


async def _read(reading: Reading, reader: Username, asked: Asked) -> HistoryPage:
    return await reading.history(reader, asked.conversation, limit=asked.limit, **asked.bounds)


def _headers(asked: Asked, page: HistoryPage) -> list[tuple[bytes, bytes]]:
    """Return the headers of a page. Its `Link` names no host: it holds behind any proxy."""
    places = {"prev": ("before", page.older), "next": ("after", page.newer)}
    links = [
        f"</v1/conversations/{asked.conversation}/messages?{bound}={seq}&limit={asked.limit}>; "
        f'rel="{rel}"'
        for rel, (bound, seq) in places.items()
        if seq is not None
    ]
    headers = [
        (b"content-length", b"%d" % len(page.body)),
        (b"content-type", b"application/json"),
    ]
    return [(b"link", ", ".join(links).encode()), *headers] if links else headers
