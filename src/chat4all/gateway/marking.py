"""`POST /v1/conversations/{id}/read`."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from chat4all.domain.ids import ConversationId
from chat4all.domain.people import Session
from chat4all.gateway.history import UuidPath
from chat4all.usecases.marking import Marking
from chat4all.web.bearer import Authenticate
from chat4all.web.bodies import decode_body, require_json
from chat4all.web.docs import json_content, problems
from chat4all.wire.shapes import MarkRead

_decoder = msgspec.json.Decoder(MarkRead)


def marking_routes(marking: Marking, caller: Authenticate) -> APIRouter:
    """Return the route that moves a read marker."""
    router = APIRouter(tags=["Messages"])

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
        openapi_extra={
            "requestBody": {"required": True, "content": json_content(MarkRead, example={"seq": 1})}
        },
    )
    async def read(
        session: Annotated[Session, Depends(caller)], conversation_id: UuidPath, request: Request
    ) -> Response:
        """Say that everything up to and with `seq` was read."""
        require_json(request.headers)
        mark = decode_body(await request.body(), _decoder)
        await marking.read(session.username, ConversationId(conversation_id.lower()), mark.seq)
        return Response(status_code=HTTPStatus.ACCEPTED)

    return router
