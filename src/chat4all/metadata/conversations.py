"""`/v1/conversations`."""

from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from chat4all.domain.ids import Username
from chat4all.domain.people import ConversationChanges, Session
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.idempotency import IdempotencyKey
from chat4all.http.openapi import json_content, larger_body, problem_meaning, problems
from chat4all.http.outcomes import CREATION, REMOVAL, SAME_VALUE, if_unknown
from chat4all.http.paging import LINK_HEADER, Cursor, link_next
from chat4all.http.paths import ConversationPath
from chat4all.http.route_limits import limited, limits_for_body
from chat4all.http.routes import api_router
from chat4all.usecases.listing import LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, Listing
from chat4all.usecases.membership import Membership
from chat4all.wire.body_sizes import GROUP_BODY_MAX
from chat4all.wire.people import (
    ConversationView,
    ListedConversation,
    WholeConversation,
    conversation_view,
    listed_view,
    whole_view,
)
from chat4all.wire.requests import ChangedConversation, NewConversation

_GROUP = limits_for_body(GROUP_BODY_MAX)


@cache
def conversation_routes() -> APIRouter:
    """Return the routes of conversations."""
    router = api_router("Conversations")

    @router.get(
        "/v1/conversations",
        summary="List your conversations",
        operation_id="list_conversations",
        responses={
            200: {"content": json_content(ListedConversation, many=True), "headers": LINK_HEADER},
            **problems(401, 422, 503),
        },
    )
    async def list_conversations(
        session: Annotated[Session, Depends(caller)],
        listing: Annotated[Listing, bound(Listing)],
        limit: Annotated[int, Query(ge=1, le=LIST_LIMIT_MAX)] = LIST_LIMIT_DEFAULT,
        cursor: Cursor = "",
    ) -> Response:
        """Return the conversations that you are in, those with the newest activity first."""
        listed, after = await listing.page(session.username, limit, cursor)
        response = json_response([listed_view(one) for one in listed])
        link_next(response, "/v1/conversations", after, limit=limit)
        return response

    @router.post(
        "/v1/conversations",
        summary="Start a conversation",
        operation_id="create_conversation",
        status_code=HTTPStatus.CREATED,
        responses={
            200: {
                "description": "This pair already has one: here.",
                "content": json_content(ConversationView),
            },
            201: {"content": json_content(ConversationView)},
            **problems(400, 401, 415, 422, 503),
            **problem_meaning(409, "A request with this `Idempotency-Key` is in flight."),
            **larger_body(GROUP_BODY_MAX),
        },
    )
    @limited(_GROUP)
    @if_unknown(CREATION)
    async def create_conversation(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        new: NewConversation,
        key: IdempotencyKey,
    ) -> Response:
        """Create a group, or the private conversation of two people; a pair has one for ever.

        A group has at most 10,000 members, you among them.
        """
        conversation, created = await membership.create(
            session.username,
            new.type,
            [Username(name) for name in new.members],
            title=new.title,
            metadata=new.metadata,
            key=key,
        )
        response = json_response(
            conversation_view(conversation),
            status=HTTPStatus.CREATED if created else HTTPStatus.OK,
        )
        response.headers["Location"] = f"/v1/conversations/{conversation.conversation_id}"
        return response

    @router.get(
        "/v1/conversations/{conversation_id}",
        summary="Read a conversation",
        operation_id="read_conversation",
        responses={
            200: {"content": json_content(WholeConversation)},
            **problems(401, 404, 422, 503),
        },
    )
    async def read_conversation(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        listing: Annotated[Listing, bound(Listing)],
        conversation_id: ConversationPath,
    ) -> Response:
        """Return a conversation that you are in, with all of its members and what is unread."""
        conversation = await membership.conversation(session.username, conversation_id)
        listed = await listing.one(session.username, conversation)
        return json_response(whole_view(listed, conversation.members))

    @router.patch(
        "/v1/conversations/{conversation_id}",
        summary="Change a conversation",
        operation_id="change_conversation",
        responses={
            200: {"content": json_content(ConversationView)},
            **problems(400, 401, 403, 404, 415, 422, 503),
            **larger_body(GROUP_BODY_MAX),
        },
    )
    @limited(_GROUP)
    @if_unknown(SAME_VALUE)
    async def change_conversation(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        conversation_id: ConversationPath,
        changed: ChangedConversation,
    ) -> Response:
        """Change a group's title or notes, as an admin or an owner."""
        changes = ConversationChanges(changed.title, changed.metadata)
        conversation = await membership.change(session.username, conversation_id, changes)
        return json_response(conversation_view(conversation))

    @router.delete(
        "/v1/conversations/{conversation_id}",
        summary="Delete a conversation",
        operation_id="delete_conversation",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 403, 404, 422, 503),
    )
    @if_unknown(REMOVAL)
    async def delete_conversation(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        conversation_id: ConversationPath,
    ) -> None:
        """End a group for everybody, as an owner. Nobody reads or writes it any more."""
        await membership.delete(session.username, conversation_id)

    return router
