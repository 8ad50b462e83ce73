"""`/v1/conversations/{id}/members`."""

from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from chat4all.domain.ids import Username
from chat4all.domain.people import Session
from chat4all.http.answers import json_response
from chat4all.http.bearer import caller
from chat4all.http.bound import bound
from chat4all.http.idempotency import IdempotencyKey
from chat4all.http.openapi import json_content, problem_meaning, problems
from chat4all.http.outcomes import CREATION, REMOVAL, ROLE, if_unknown
from chat4all.http.paging import LINK_HEADER, Cursor, link_next
from chat4all.http.paths import ConversationPath, MemberPath
from chat4all.http.routes import api_router
from chat4all.usecases.membership import Membership
from chat4all.wire.people import MemberView
from chat4all.wire.requests import NewMember, NewRole

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000

PATH = "/v1/conversations/{conversation_id}/members"


@cache
def member_routes() -> APIRouter:
    """Return the routes of members."""
    router = api_router("Conversations")

    @router.get(
        PATH,
        summary="List the members",
        operation_id="list_members",
        responses={
            200: {"content": json_content(MemberView, many=True), "headers": LINK_HEADER},
            **problems(401, 404, 422, 503),
        },
    )
    async def list_members(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        conversation_id: ConversationPath,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Cursor = "",
    ) -> Response:
        """Return who is in a conversation that you are in, by name."""
        members, after = await membership.members(session.username, conversation_id, limit, cursor)
        response = json_response([MemberView(name, role) for name, role in members.items()])
        link_next(response, PATH.format(conversation_id=conversation_id), after, limit=limit)
        return response

    @router.post(
        PATH,
        summary="Let somebody in",
        operation_id="add_member",
        status_code=HTTPStatus.CREATED,
        responses={
            201: {"content": json_content(MemberView)},
            **problems(400, 401, 403, 404, 413, 415, 422, 503),
            **problem_meaning(
                409, "Already a member, or it is full, or a request with this key is in flight."
            ),
        },
    )
    @if_unknown(CREATION)
    async def add_member(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        conversation_id: ConversationPath,
        new: NewMember,
        key: IdempotencyKey,
    ) -> Response:
        """Add a member to a group, as an admin or an owner. They see the whole history."""
        name = Username(new.username)
        await membership.add(session.username, conversation_id, name, new.role, key=key)
        return json_response(MemberView(new.username, new.role), status=HTTPStatus.CREATED)

    @router.patch(
        PATH + "/{username}",
        summary="Give somebody another role",
        operation_id="change_role",
        responses={
            200: {"content": json_content(MemberView)},
            **problems(400, 401, 403, 404, 413, 415, 422, 503),
            **problem_meaning(
                409, "It is the last owner, or who would be one is disabled; see `detail`."
            ),
        },
    )
    @if_unknown(ROLE)
    async def change_role(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        conversation_id: ConversationPath,
        username: MemberPath,
        new: NewRole,
    ) -> Response:
        """Give a member of a group a role, as an owner. 409 when it would have no owner."""
        await membership.change_role(session.username, conversation_id, username, new.role)
        return json_response(MemberView(username, new.role))

    @router.delete(
        PATH + "/{username}",
        summary="Remove somebody, or leave",
        operation_id="remove_member",
        status_code=HTTPStatus.NO_CONTENT,
        responses={
            **problems(401, 403, 404, 422, 503),
            **problem_meaning(409, "It is the last owner."),
        },
    )
    @if_unknown(REMOVAL)
    async def remove_member(
        session: Annotated[Session, Depends(caller)],
        membership: Annotated[Membership, bound(Membership)],
        conversation_id: ConversationPath,
        username: MemberPath,
    ) -> None:
        """Remove a member of a group, as an admin or an owner, or leave it yourself.

        409 for its last owner: make another member one first, or delete the group.
        """
        await membership.remove(session.username, conversation_id, username)

    return router
