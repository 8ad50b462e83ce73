"""`/v1/conversations`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field, StringConstraints

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Status
from chat4all.domain.people import (
    MEMBERS_MAX,
    TITLE_MAX,
    Conversation,
    ConversationChanges,
    ConversationType,
    Role,
    Session,
)
from chat4all.http.bearer import Authenticate
from chat4all.http.bodies import json_only
from chat4all.http.docs import problems
from chat4all.http.paging import LINK_HEADER, Cursor, link_next, read_cursor
from chat4all.metadata.members import EXAMPLE_ID, ConversationPath, MemberView, Name
from chat4all.usecases.listing import LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, Listed, Listing
from chat4all.usecases.membership import Membership

Title = Annotated[str, StringConstraints(min_length=1, max_length=TITLE_MAX)]
Notes = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=1_000)],
    ],
    Field(max_length=32),
]


class NewConversation(BaseModel):
    """A conversation to be created, by one of its members."""

    type: ConversationType = Field(examples=["group"])
    title: Title | None = Field(None, description="For groups.", examples=["Equipe"])
    members: list[Name] = Field(
        max_length=MEMBERS_MAX,
        description="The others; you are in it anyway. Exactly one for `private`.",
        examples=[["ana"]],
    )
    metadata: Notes = Field(
        default_factory=dict,
        description="Your own notes about it.",
        examples=[{"ticket": "4711"}],
    )


class ChangedConversation(BaseModel):
    """What to change; what is left out stays."""

    title: Title | None = Field(None, examples=["Equipe"])
    metadata: Notes | None = Field(None, description="In place of all that were there.")


class ConversationView(BaseModel):
    """A conversation as its members see it."""

    conversation_id: str = Field(examples=[EXAMPLE_ID])
    type: ConversationType
    title: str | None = Field(examples=["Equipe"])
    members: list[MemberView]
    metadata: dict[str, str]
    created_at: str = Field(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])


class LastMessage(BaseModel):
    """A message as the history shows it."""

    conversation_id: str = Field(examples=[EXAMPLE_ID])
    message_id: str = Field(examples=[EXAMPLE_ID])
    sender_id: str = Field(examples=["bruno"])
    content: str = Field(examples=["Olá! 🎉"])
    created_at: str = Field(examples=["2026-01-31T12:00:00.000Z"])
    status: Status
    seq: int = Field(examples=[12])


class ListedConversation(ConversationView):
    """A conversation in your list."""

    members: list[MemberView] = Field(description="By name; of a large group the first 100.")
    member_count: int = Field(examples=[2])
    peer: str | None = Field(description="The other one, for `private`.", examples=["ana"])
    role: Role = Field(description="Yours.")
    last_message: LastMessage | None
    unread: int = Field(description="Messages above the last that you have read.", examples=[3])
    position: str = Field(description="How far this goes: `<seq>.<change>`.", examples=["12.0"])


def conversation_routes(
    membership: Membership, listing: Listing, caller: Authenticate
) -> APIRouter:
    """Return the routes of conversations."""
    router = APIRouter(tags=["Conversations"])

    @router.get(
        "/v1/conversations",
        summary="List your conversations",
        operation_id="list_conversations",
        responses={200: {"headers": LINK_HEADER}, **problems(401, 422, 503)},
    )
    async def list_conversations(
        session: Annotated[Session, Depends(caller)],
        response: Response,
        limit: Annotated[int, Query(ge=1, le=LIST_LIMIT_MAX)] = LIST_LIMIT_DEFAULT,
        cursor: Cursor = None,
    ) -> list[ListedConversation]:
        """Return the conversations that you are in, those with the newest activity first."""
        found, after = await listing.page(session.username, limit, read_cursor(cursor))
        link_next(response, "/v1/conversations", after, limit=limit)
        return [_listed(one) for one in found]

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
        conversation_id: ConversationPath,
    ) -> ConversationView:
        """Return a conversation that you are in."""
        found = await membership.conversation(
            session.username, ConversationId(conversation_id.lower())
        )
        return _view(found)

    @router.patch(
        "/v1/conversations/{conversation_id}",
        summary="Change a conversation",
        operation_id="change_conversation",
        dependencies=[Depends(json_only)],
        responses=problems(400, 401, 403, 404, 413, 415, 422, 503),
    )
    async def change_conversation(
        session: Annotated[Session, Depends(caller)],
        conversation_id: ConversationPath,
        changed: ChangedConversation,
    ) -> ConversationView:
        """Change a group's title or notes, as an admin or an owner."""
        found = await membership.change(
            session.username,
            ConversationId(conversation_id.lower()),
            ConversationChanges(changed.title, changed.metadata),
        )
        return _view(found)

    @router.delete(
        "/v1/conversations/{conversation_id}",
        summary="Delete a conversation",
        operation_id="delete_conversation",
        status_code=HTTPStatus.NO_CONTENT,
        responses=problems(401, 403, 404, 422, 503),
    )
    async def delete_conversation(
        session: Annotated[Session, Depends(caller)], conversation_id: ConversationPath
    ) -> None:
        """End a group for everybody, as an owner. Nobody reads or writes it any more."""
        await membership.delete(session.username, ConversationId(conversation_id.lower()))

    return router


def _listed(listed: Listed) -> ListedConversation:
    detail = listed.detail
    last = None
    if listed.last is not None:
        message, status = listed.last
        last = LastMessage(
            conversation_id=message.conversation_id,
            message_id=message.message_id,
            sender_id=message.sender_id,
            content=message.content,
            created_at=message.created_at,
            status=status,
            seq=message.seq,
        )
    return ListedConversation(
        conversation_id=listed.conversation_id,
        type=detail.type,
        title=detail.title,
        members=_members(detail.members),
        metadata=dict(detail.metadata),
        created_at=detail.created_at,
        member_count=detail.count,
        peer=detail.peer,
        role=listed.role,
        last_message=last,
        unread=listed.unread,
        position=str(listed.position),
    )


def _members(members: Mapping[Username, Role]) -> list[MemberView]:
    return [MemberView(username=name, role=role) for name, role in sorted(members.items())]


def _view(conversation: Conversation) -> ConversationView:
    return ConversationView(
        conversation_id=conversation.conversation_id,
        type=conversation.type,
        title=conversation.title,
        members=_members(conversation.members),
        metadata=dict(conversation.metadata),
        created_at=conversation.created_at,
    )
