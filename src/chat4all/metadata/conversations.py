"""`/v1/conversations` and their members."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, Field, StringConstraints

from chat4all.domain.ids import UUID_PATTERN, ConversationId, Username
from chat4all.domain.people import (
    MEMBERS_MAX,
    TITLE_MAX,
    Conversation,
    ConversationType,
    Role,
    Session,
)
from chat4all.usecases.membership import Membership
from chat4all.web.bearer import Authenticate
from chat4all.web.bodies import json_only
from chat4all.web.docs import problems

_EXAMPLE_ID = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10"
_Name = Annotated[str, StringConstraints(min_length=1, max_length=32)]


class NewConversation(BaseModel):
    """A conversation to be created, by one of its members."""

    type: ConversationType = Field(examples=["group"])
    title: Annotated[str, StringConstraints(min_length=1, max_length=TITLE_MAX)] | None = Field(
        None, description="For groups.", examples=["Equipe"]
    )
    members: list[_Name] = Field(
        max_length=MEMBERS_MAX,
        description="The others; you are in it anyway. Exactly one for `private`.",
        examples=[["ana"]],
    )
    metadata: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=1_000)],
    ] = Field(
        default_factory=dict,
        max_length=32,
        description="Your own notes about it.",
        examples=[{"ticket": "4711"}],
    )


class MemberView(BaseModel):
    """One member."""

    username: str = Field(examples=["ana"])
    role: Role = Field(examples=["member"])


class NewMember(BaseModel):
    """Somebody to be let in."""

    username: _Name = Field(examples=["ana"])
    role: Role = Field(Role.MEMBER, description="Only the owner gives another one.")


class ConversationView(BaseModel):
    """A conversation as its members see it."""

    conversation_id: str = Field(examples=[_EXAMPLE_ID])
    type: ConversationType
    title: str | None = Field(examples=["Equipe"])
    members: list[MemberView]
    metadata: dict[str, str]
    created_at: str = Field(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])


def conversation_routes(membership: Membership, caller: Authenticate) -> APIRouter:
    """Return the routes of conversations and members."""
    router = APIRouter(tags=["Conversations"])

    @router.post(
        "/v1/conversations",
        summary="Start a conversation",
        operation_id="create_conversation",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(json_only)],
        responses={
            200: {"model": ConversationView, "description": "This pair already has one: here."},
            **problems(400, 401, 413, 415, 422, 503),
        },
    )
    async def create_conversation(
        session: Annotated[Session, Depends(caller)], new: NewConversation, response: Response
    ) -> ConversationView:
        """Create a group, or the private conversation of two people; a pair has one for ever."""
        conversation, created = await membership.create(
            session.username,
            new.type,
            [Username(name) for name in new.members],
            title=new.title,
            metadata=new.metadata,
        )
        response.headers["Location"] = f"/v1/conversations/{conversation.conversation_id}"
        if not created:
            response.status_code = HTTPStatus.OK
        return _view(conversation)

    @router.get(
        "/v1/conversations/{conversation_id}",
        summary="Read a conversation",
        operation_id="read_conversation",
        responses=problems(401, 404, 422, 503),
    )
    async def read_conversation(
        session: Annotated[Session, Depends(caller)],
        conversation_id: Annotated[str, Path(pattern=UUID_PATTERN, examples=[_EXAMPLE_ID])],
    ) -> ConversationView:
        """Return a conversation that you are in."""
        found = await membership.conversation(
            session.username, ConversationId(conversation_id.lower())
        )
        return _view(found)

    @router.post(
        "/v1/conversations/{conversation_id}/members",
        summary="Let somebody in",
        operation_id="add_member",
        status_code=HTTPStatus.CREATED,
        dependencies=[Depends(json_only)],
        responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
    )
    async def add_member(
        session: Annotated[Session, Depends(caller)],
        conversation_id: Annotated[str, Path(pattern=UUID_PATTERN, examples=[_EXAMPLE_ID])],
        new: NewMember,
    ) -> MemberView:
        """Add a member to a group, as an admin or its owner. They see the whole history."""
        await membership.add(
            session.username,
            ConversationId(conversation_id.lower()),
            Username(new.username),
            new.role,
        )
        return MemberView(username=new.username, role=new.role)

    return router


def _view(conversation: Conversation) -> ConversationView:
    return ConversationView(
        conversation_id=conversation.conversation_id,
        type=conversation.type,
        title=conversation.title,
        members=[
            MemberView(username=name, role=role)
            for name, role in sorted(conversation.members.items())
        ],
        metadata=dict(conversation.metadata),
        created_at=conversation.created_at,
    )
