"""Edits, deletions and reactions of messages: `PATCH`, `DELETE`, `…/edits` and `…/reactions`."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from chat4all.domain.changes import ReactionCount
from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.ids import ChangeId, change_id
from chat4all.domain.messages import CONTENT_MAX
from chat4all.domain.people import Session
from chat4all.domain.text import paragraphs
from chat4all.gateway.pages import HISTORY_PATH
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.idempotency import ChangeIdKey
from chat4all.http.json_bodies import BodyReader
from chat4all.http.openapi import json_body, json_content, larger_body, problem_meaning, problems
from chat4all.http.outcomes import CHANGE, EDIT, if_unknown
from chat4all.http.paths import ConversationPath, EmojiPath, MessagePath, SeqQuery
from chat4all.http.route_limits import limited, limits_for_body
from chat4all.http.routes import api_router
from chat4all.http.tracing import trace_headers
from chat4all.usecases.changing import CHANGE_ID, Changing
from chat4all.wire.body_sizes import MESSAGE_BODY_MAX
from chat4all.wire.messages import (
    EXAMPLE_CHANGE,
    AcceptedChange,
    EditMessage,
    VersionView,
)

MESSAGE_PATH = HISTORY_PATH + "/{message_id}"
REACTION_PATH = MESSAGE_PATH + "/reactions/{emoji}"

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "Accepted: it is durable and will be done once.",
        "content": json_content(
            AcceptedChange, example={"status": "accepted", "change_id": EXAMPLE_CHANGE}
        ),
    }
}

CONTENT_RULE = {"content": partial(paragraphs, most=CONTENT_MAX)}
"""See `BodyReader`."""

_reader = BodyReader(EditMessage, CONTENT_RULE)


@cache
def changing_routes() -> APIRouter:
    """Return the routes that change messages and show what was changed."""
    router = api_router("Messages")

    @router.patch(
        MESSAGE_PATH,
        summary="Edit a message",
        operation_id="edit_message",
        status_code=HTTPStatus.ACCEPTED,
        response_class=Response,
        responses={
            **_ACCEPTED,
            **problems(400, 401, 403, 404, 415, 422, 503),
            **larger_body(MESSAGE_BODY_MAX),
            **problem_meaning(409, "It is deleted, or was edited 100 times."),
        },
        openapi_extra=json_body(EditMessage, {"content": "Olá a todos! 🎉"}),
    )
    @limited(limits_for_body(MESSAGE_BODY_MAX))
    @if_unknown(EDIT)
    async def edit(
        session: Annotated[Session, Depends(caller)],
        changing: Annotated[Changing, bound(Changing)],
        conversation_id: ConversationPath,
        message_id: MessagePath,
        request: Request,
        seq: SeqQuery = None,
    ) -> Response:
        """Give your own message another text; up to 100 times, and not once it is deleted.

        Of two edits the later one stays. On 503 retry with the `change_id` of the answer.
        """
        body = await _reader.read_from(request)
        return _accepted(
            await changing.edit(
                session.username,
                conversation_id,
                message_id,
                body.content,
                seq=seq,
                change_id=_own_id(body.change_id),
                headers=trace_headers(request.scope),
            )
        )

    @router.delete(
        MESSAGE_PATH,
        summary="Delete a message",
        operation_id="delete_message",
        status_code=HTTPStatus.ACCEPTED,
        response_class=Response,
        responses={**_ACCEPTED, **problems(401, 403, 404, 422, 503)},
    )
    @if_unknown(CHANGE)
    async def delete(
        session: Annotated[Session, Depends(caller)],
        changing: Annotated[Changing, bound(Changing)],
        conversation_id: ConversationPath,
        message_id: MessagePath,
        request: Request,
        key: ChangeIdKey,
        seq: SeqQuery = None,
    ) -> Response:
        """Delete your own message or, as an admin or owner, any.

        It keeps its number and loses its text, its edits and its reactions, for good.
        """
        with _named_by_header():
            made = await changing.delete(
                session.username,
                conversation_id,
                message_id,
                seq=seq,
                change_id=_own_id(key),
                headers=trace_headers(request.scope),
            )
        return _accepted(made)

    @router.get(
        MESSAGE_PATH + "/edits",
        summary="See the earlier texts of a message",
        operation_id="list_edits",
        response_class=Response,
        responses={
            200: {
                "description": "Every text that it had, earliest first. Empty if it was never "
                "edited, and once it is deleted.",
                "content": json_content(VersionView, many=True),
            },
            **problems(401, 403, 404, 422, 503),
        },
    )
    async def edits(
        session: Annotated[Session, Depends(caller)],
        changing: Annotated[Changing, bound(Changing)],
        conversation_id: ConversationPath,
        message_id: MessagePath,
        seq: SeqQuery = None,
    ) -> Response:
        """Return what was edited, for the author of the message, admins and owners."""
        found = await changing.versions(session.username, conversation_id, message_id, seq)
        return json_response([VersionView(*version) for version in found])

    async def react(
        session: Annotated[Session, Depends(caller)],
        changing: Annotated[Changing, bound(Changing)],
        conversation_id: ConversationPath,
        message_id: MessagePath,
        emoji: EmojiPath,
        request: Request,
        key: ChangeIdKey,
        seq: SeqQuery = None,
    ) -> Response:
        """Give or take back a reaction, as the method says; the same again changes nothing."""
        with _named_by_header():
            made = await changing.react(
                session.username,
                conversation_id,
                message_id,
                emoji,
                given=request.method == "PUT",
                seq=seq,
                change_id=_own_id(key),
                headers=trace_headers(request.scope),
            )
        return _accepted(made)

    for method, what, name in (
        ("PUT", "React to a message", "add_reaction"),
        ("DELETE", "Take a reaction back", "remove_reaction"),
    ):
        router.add_api_route(
            REACTION_PATH,
            if_unknown(CHANGE)(react),
            methods=[method],
            summary=what,
            operation_id=name,
            status_code=HTTPStatus.ACCEPTED,
            response_class=Response,
            responses={
                **_ACCEPTED,
                **problems(401, 404, 422, 503),
                **problem_meaning(409, "The message is deleted."),
            },
        )

    @router.get(
        MESSAGE_PATH + "/reactions",
        summary="See who reacted to a message",
        operation_id="list_reactions",
        response_class=Response,
        responses={
            200: {
                "description": "Each reaction that was given, with all names, earliest first.",
                "content": json_content(ReactionCount, many=True),
            },
            **problems(401, 404, 422, 503),
        },
    )
    async def reactions(
        session: Annotated[Session, Depends(caller)],
        changing: Annotated[Changing, bound(Changing)],
        conversation_id: ConversationPath,
        message_id: MessagePath,
        seq: SeqQuery = None,
    ) -> Response:
        """Return all reactions to a message; in the history it shows ten names of each."""
        return json_response(
            await changing.reactions(session.username, conversation_id, message_id, seq)
        )

    return router


@contextmanager
def _named_by_header() -> Iterator[None]:
    """Point to the header where the id of a change is wrong: these routes have no body."""
    try:
        yield
    except InvalidInput as error:
        places = {CHANGE_ID: "/header/Idempotency-Key"}
        raise InvalidInput(
            [FieldError(places.get(one.pointer, one.pointer), one.detail) for one in error.errors]
        ) from None


def _own_id(text: str | None) -> ChangeId | None:
    return change_id(text) if text else None


def _accepted(made: ChangeId) -> Response:
    return json_response(AcceptedChange(made), status=HTTPStatus.ACCEPTED)
