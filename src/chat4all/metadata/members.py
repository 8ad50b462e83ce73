"""`/v1/conversations/{id}/members`."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from chat4all.domain.ids import UUID_PATTERN, ConversationId, Username
from chat4all.domain.people import Role, Session
from chat4all.http.bearer import Authenticate
from chat4all.http.bodies import json_only
from chat4all.http.docs import problems
from chat4all.http.paging import LINK_HEADER, Cursor, link_next, read_cursor
from chat4all.usecases.membership import Membership

EXAMPLE_ID = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10"
LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000

Name = Annotated[str, StringConstraints(min_length=1, max_length=32)]
ConversationPath = Annotated[str, Path(pattern=UUID_PATTERN, examples=[EXAMPLE_ID])]
MemberPath = Annotated[str, Path(min_length=1, max_length=40, examples=["ana"])]

PATH = "/v1/conversations/{conversation_id}/members"


class MemberView(BaseModel):
    """One member."""

    username: str = Field(examples=["ana"])
    role: Role = Field(examples=["member"])


class NewMember(BaseModel):
    """Somebody to be let in."""

    username: Name = Field(examples=["ana"])
    role: Role = Field(Role.MEMBER, description="Only an owner gives another one.")


class NewRole(BaseModel):
    """What somebody shall be."""

    role: Role = Field(examples=["admin"])


def member_routes(membership: Membership, caller: Authenticate) -> APIRouter:
    """Return the routes of members."""
    router = APIRouter(tags=["Conversations"])

    @router.get(
        PATH,
        summary="List the members",
        operation_id="list_members",
        responses={200: {"headers": LINK_HEADER}, **problems(401, 404, 422, 503)},
    )
    async def list_members(
        session: Annotated[Session, Depends(caller)],
        conversation_id: ConversationPath,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Cursor = None,
    ) -> list[MemberView]:
        """Return who is in a conversation that you are in, by name."""
        conversation = ConversationId(conversation_id.lower())
        found, after = await membership.members(
            session.username, conversation, limit, read_cursor(cursor)
        )
        link_next(response, PATH.format(conversation_id=conversation), after, limit=limit)
        return [MemberView(username=name, role=role) for name, role in found.items()]

    @router.post(
        PATH,
        summary="Let somebody in",
        operation_id="add_member",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(json_only)],
        responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
    )
    async def add_member(
        session: Annotated[Session, Depends(caller)],
        conversation_id: ConversationPath,
        new: NewMember,
    ) -> MemberView:
        """Add a member to a group, as an admin or an owner. They see the whole history."""
        await membership.add(
            session.username,
            ConversationId(conversation_id.lower()),
            Username(new.username),
            new.role,
        )
        return MemberView(username=new.username, role=new.role)

    @router.patch(
        PATH + "/{username}",
        summary="Give somebody another role",
        operation_id="change_role",
        dependencies=[Depends(json_only)],
        responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
    )
    async def change_role(
        session: Annotated[Session, Depends(caller)],
        conversation_id: ConversationPath,
        username: MemberPath,
        new: NewRole,
    ) -> MemberView:
        """Give a member of a group a role, as an owner. 409 when it would have no owner."""
        await membership.change_role(
            session.username,
            ConversationId(conversation_id.lower()),
            Username(username),
            new.role,
        )
        return MemberView(username=username, role=new.role)

    @router.delete(
        PATH + "/{username}",
        summary="Remove somebody, or leave",
        operation_id="remove_member",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 403, 404, 409, 422, 503),
    )
    async def remove_member(
        session: Annotated[Session, Depends(caller)],
        conversation_id: ConversationPath,
        username: MemberPath,
    ) -> None:
        """Remove a member of a group, as an admin or an owner, or leave it yourself.

        409 for its last owner: make another member one first, or delete the group.
        """
        await membership.remove(
            session.username, ConversationId(conversation_id.lower()), Username(username)
        )

    return router
