"""`POST /v1/conversations/{id}/read` and the receipts."""

from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from chat4all.domain.people import Session
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.json_bodies import BodyReader
from chat4all.http.openapi import json_body, json_content, problems
from chat4all.http.outcomes import MARKER, if_unknown
from chat4all.http.paths import ConversationPath
from chat4all.http.routes import api_router
from chat4all.http.tracing import trace_headers
from chat4all.usecases.marking import Marking
from chat4all.usecases.reading import Reading
from chat4all.wire.messages import MarkRead, ReceiptView, receipt_view

_reader = BodyReader(MarkRead)


@cache
def marking_routes() -> APIRouter:
    """Return the routes that move read markers and list receipts."""
    router = api_router("Messages")

    @router.post(
        "/v1/conversations/{conversation_id}/read",
        summary="Mark as read",
        operation_id="mark_read",
        status_code=HTTPStatus.ACCEPTED,
        response_class=Response,
        responses={
            202: {"description": "Recorded. A marker only grows: a smaller number does nothing."},
            **problems(400, 401, 404, 413, 415, 422, 503),
        },
        openapi_extra=json_body(MarkRead, {"seq": 1}),
    )
    @if_unknown(MARKER)
    async def read(
        session: Annotated[Session, Depends(caller)],
        marking: Annotated[Marking, bound(Marking)],
        conversation_id: ConversationPath,
        request: Request,
    ) -> Response:
        """Say that everything up to and with `seq` was read."""
        mark = await _reader.read_from(request)
        trace = trace_headers(request.scope)
        await marking.read(session.username, conversation_id, mark.seq, trace)
        return Response(status_code=HTTPStatus.ACCEPTED)

    @router.get(
        "/v1/conversations/{conversation_id}/receipts",
        summary="See who has read how far",
        operation_id="list_receipts",
        response_class=Response,
        responses={
            200: {
                "description": "One a member, by name.",
                "content": json_content(ReceiptView, many=True),
            },
            **problems(401, 404, 422, 503),
        },
    )
    async def receipts(
        session: Annotated[Session, Depends(caller)],
        reading: Annotated[Reading, bound(Reading)],
        conversation_id: ConversationPath,
    ) -> Response:
        """Return how far each member has received and read, and since when."""
        members = await reading.receipts(session.username, conversation_id)
        return json_response([receipt_view(name, receipt) for name, receipt in members.items()])

    return router
