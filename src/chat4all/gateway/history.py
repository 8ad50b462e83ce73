"""`GET /v1/conversations/{id}/messages`, whole pages and single messages.

Ordinary requests for a page are answered by the fast route (`fast_history`). The route here is for
everything else: unusual spellings of the query, refusals, and the description in /docs.
"""

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.people import Session
from chat4all.domain.position import POSITION_PATTERN, Position
from chat4all.gateway.pages import HISTORY_PATH, PageQuery, page_headers, read_page
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.methods import WAS_HEAD
from chat4all.http.openapi import json_content, problems
from chat4all.http.paths import ConversationPath, MessagePath
from chat4all.http.routes import api_router
from chat4all.usecases.delivered import Delivered
from chat4all.usecases.reading import LIMIT_DEFAULT, LIMIT_MAX, Reading
from chat4all.wire.messages import MessageView
from chat4all.wire.records import SEQ_MAX

Before = Annotated[
    int | None,
    Query(ge=0, le=SEQ_MAX, description="The newest messages whose `seq` is below this one."),
]
After = Annotated[
    int | None,
    Query(ge=0, le=SEQ_MAX, description="The oldest messages whose `seq` is above this one."),
]
Around = Annotated[
    int | None,
    Query(ge=0, le=SEQ_MAX, description="The message of this `seq`, and those on both sides."),
]
AtLeast = Annotated[
    str | None,
    Query(
        pattern=POSITION_PATTERN,
        description="A position that you know of: no cached page that is older will do.",
        examples=["12.3"],
    ),
]


@cache
def history_routes() -> APIRouter:
    """Return the routes that read messages."""
    router = api_router("Messages")

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
                    },
                    "Chat4All-Position": {
                        "description": "What it was read at, `<seq>.<change>`. What the page shows "
                        "may be newer, never older.",
                        "schema": {"type": "string", "example": "12.3"},
                    },
                },
            },
            **problems(401, 404, 422, 503),
        },
    )
    async def history(
        request: Request,
        session: Annotated[Session, Depends(caller)],
        reading: Annotated[Reading, bound(Reading)],
        delivered: Annotated[Delivered, bound(Delivered)],
        conversation_id: ConversationPath,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        before: Before = None,
        after: After = None,
        around: Around = None,
        at_least: AtLeast = None,
    ) -> Response:
        """Return the newest page, or the one below `before`, above `after` or around a `seq`.

        At most one of the three may be given. Messages are numbered without gaps, and a page is
        always in their order; `Link` leads to its neighbours.
        """
        named = {"before": before, "after": after, "around": around}
        bounds = {name: seq for name, seq in named.items() if seq is not None}
        if len(bounds) > 1:
            raise InvalidInput([FieldError("/query", "give one of before, after and around")])
        query = PageQuery(
            conversation_id, limit, bounds, Position.parse(at_least) if at_least else None
        )
        page = await read_page(reading, session.username, query)
        if page.last and not request.scope.get(WAS_HEAD):
            delivered.note(conversation_id, session.username, page.last)
        response = Response(page.body)
        response.raw_headers = page_headers(query, page)
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
        reading: Annotated[Reading, bound(Reading)],
        conversation_id: ConversationPath,
        message_id: MessagePath,
    ) -> Response:
        """Return a message by its id: your own of this id, else the first one that has it.

        Right after its 202 it is `SENT`, without a number.
        """
        return json_response(await reading.message(session.username, conversation_id, message_id))

    return router
