"""`GET /v1/conversations/{id}/messages`, whole pages and single messages."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.ids import UUID_PATTERN, ConversationId, MessageId
from chat4all.domain.people import Session
from chat4all.domain.records import MessageRecord
from chat4all.gateway.pages import HISTORY_PATH, Pages
from chat4all.usecases.reading import LIMIT_DEFAULT, LIMIT_MAX, HistoryPage, Reading
from chat4all.web.bearer import Authenticate
from chat4all.web.docs import json_content, problems
from chat4all.wire.records import SEQ_MAX
from chat4all.wire.shapes import (
    EXAMPLE_CHAT,
    EXAMPLE_MESSAGE,
    MessageView,
    accepted_view,
    message_view,
)

UuidPath = Annotated[str, Path(pattern=UUID_PATTERN, examples=[EXAMPLE_CHAT])]
Seq = Annotated[int | None, Query(ge=0, le=SEQ_MAX)]

_encoder = msgspec.json.Encoder()


def history_routes(reading: Reading, pages: Pages, caller: Authenticate) -> APIRouter:
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
        request: Request,
        conversation_id: UuidPath,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        before: Seq = None,
        after: Seq = None,
        around: Seq = None,
    ) -> Response:
        """Return the newest page, or the one below `before`, above `after` or around a `seq`."""
        if sum(bound is not None for bound in (before, after, around)) > 1:
            raise InvalidInput([FieldError("/query", "give one of before, after and around")])
        conversation = ConversationId(conversation_id.lower())
        unchanged = pages.before_reading(conversation)
        page = await reading.history(
            session.username,
            conversation,
            limit=limit,
            before=before,
            after=after,
            around=around,
        )
        body = _encoder.encode([message_view(*found) for found in page.messages])
        answer = Response(
            body, headers=_links(conversation, page, limit), media_type="application/json"
        )
        address = (request.scope["path"], request.scope["query_string"])
        pages.keep(address, conversation, unchanged, page.members, answer.raw_headers, body)
        return answer

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


def _links(conversation: ConversationId, page: HistoryPage, limit: int) -> dict[str, str]:
    """Return the `Link` header, without a host: it holds behind any proxy."""
    places = {"prev": ("before", page.older), "next": ("after", page.newer)}
    links = [
        f'</v1/conversations/{conversation}/messages?{bound}={seq}&limit={limit}>; rel="{rel}"'
        for rel, (bound, seq) in places.items()
        if seq is not None
    ]
    return {"Link": ", ".join(links)} if links else {}
