"""What clients see of users, conversations and sessions.

The schemas in /docs are made from these types.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from chat4all.domain.ids import SessionId, Username
from chat4all.domain.kinds import UNREAD_MENTIONS_MAX
from chat4all.domain.listing import Listed
from chat4all.domain.people import Conversation, ConversationType, Role, Session, TokenPair, User
from chat4all.domain.times import format_seconds
from chat4all.wire.messages import MessageView, message_view

EXAMPLE_CONVERSATION = "7f1c2d9e-5f0b-4c57-9a1e-3f2b8d6c4a10"
EXAMPLE_SESSION = "0d6a1a2c-55a0-4b52-9d3e-6b3a5e8f7c21"

_Time = Annotated[str, Meta(description="RFC 3339, UTC.", examples=["2026-01-31T12:00:00.000Z"])]


class Profile(msgspec.Struct):
    """A user as others see that user."""

    username: Annotated[str, Meta(examples=["carla"])]
    display_name: Annotated[str | None, Meta(examples=["Carla 🎈"])]
    created_at: _Time


class OwnProfile(Profile):
    """A user as that user sees it."""

    email: Annotated[str, Meta(examples=["carla@example.com"])]


def profile(user: User) -> Profile:
    """Return what others see of a user."""
    return Profile(user.username, user.display_name, user.created_at)


def own_profile(user: User) -> OwnProfile:
    """Return what a user sees of their own account."""
    return OwnProfile(user.username, user.display_name, user.created_at, user.email)


class MemberView(msgspec.Struct):
    """One member."""

    username: Annotated[str, Meta(examples=["ana"])]
    role: Annotated[Role, Meta(examples=["member"])]


class ConversationView(msgspec.Struct):
    """A conversation as its members see it."""

    conversation_id: Annotated[str, Meta(examples=[EXAMPLE_CONVERSATION])]
    type: ConversationType
    title: Annotated[str | None, Meta(examples=["Equipe"])]
    members: list[MemberView]
    metadata: dict[str, str]
    created_at: _Time


class ListedConversation(ConversationView):
    """A conversation in your list."""

    members: Annotated[
        list[MemberView], Meta(description="By name; of a large group the first 100.")
    ]
    member_count: Annotated[int, Meta(examples=[2])]
    peer: Annotated[str | None, Meta(description="The other one, for `private`.", examples=["ana"])]
    role: Annotated[Role, Meta(description="Yours.")]
    last_message: MessageView | None
    unread: Annotated[
        int, Meta(description="Messages above the last that you have read.", examples=[3])
    ]
    position: Annotated[
        str, Meta(description="How far this goes: `<seq>.<change>`.", examples=["12.0"])
    ]
    unread_mentions: Annotated[
        tuple[int, ...],
        Meta(
            description="The `seq` of each unread message that mentions you, lowest first: the "
            f"newest {UNREAD_MENTIONS_MAX}, among the newest 1,000 that are unread.",
            examples=[[12]],
        ),
    ]


class WholeConversation(ListedConversation):
    """A conversation that you are in, with all of its members."""

    members: list[MemberView]


L = TypeVar("L", bound=ListedConversation)


def conversation_view(conversation: Conversation) -> ConversationView:
    """Return what its members see of a conversation."""
    return ConversationView(
        conversation.conversation_id,
        conversation.type,
        conversation.title,
        _member_views(conversation.members),
        dict(conversation.metadata),
        conversation.created_at,
    )


def whole_view(listed: Listed, members: Mapping[Username, Role]) -> WholeConversation:
    """Return what a member sees of one conversation: what a list shows, and all members."""
    view = _as_listed(WholeConversation, listed)
    view.members = _member_views(members)
    return view


def listed_view(listed: Listed) -> ListedConversation:
    """Return what a member sees of a conversation in a list."""
    return _as_listed(ListedConversation, listed)


def _as_listed(view: type[L], listed: Listed) -> L:
    detail = listed.detail
    return view(
        listed.conversation_id,
        detail.type,
        detail.title,
        _member_views(detail.members),
        dict(detail.metadata),
        detail.created_at,
        detail.count,
        detail.peer,
        listed.role,
        message_view(*listed.last) if listed.last is not None else None,
        listed.unread,
        str(listed.position),
        tuple(listed.unread_mentions),
    )


def _member_views(members: Mapping[Username, Role]) -> list[MemberView]:
    return [MemberView(name, role) for name, role in sorted(members.items())]


class Token(msgspec.Struct, kw_only=True):
    """A bearer token (RFC 6749, section 5.1)."""

    access_token: Annotated[str, Meta(description="Send it as `Authorization: Bearer …`.")]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - not a password
    expires_in: Annotated[int, Meta(description="Seconds.", examples=[1800])]
    refresh_token: Annotated[
        str,
        Meta(
            description="Good once, for the next two tokens. Sent again within 30 s, while the "
            "next one is unused, it is answered with that one; otherwise it ends the session."
        ),
    ]

    def __repr__(self) -> str:
        """Say nothing that is secret: it may be printed or logged."""
        return f"Token(expires_in={self.expires_in})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("expires_in", self.expires_in)]


def token_view(pair: TokenPair) -> Token:
    """Return what a client receives for a sign-in or a refresh."""
    return Token(
        access_token=pair.access.token,
        expires_in=pair.access.expires_in,
        refresh_token=pair.refresh_token,
    )


class SessionView(msgspec.Struct):
    """A device that is signed in."""

    session_id: Annotated[str, Meta(examples=[EXAMPLE_SESSION])]
    device: Annotated[str, Meta(description="What it says that it is.", examples=["curl/7.88.1"])]
    created_at: _Time
    last_used_at: Annotated[
        str, Meta(description="When it signed in or last refreshed its tokens.")
    ]
    expires_at: Annotated[str, Meta(description="When it is signed out unless it refreshes them.")]
    current: Annotated[bool, Meta(description="Whether it is the one that asks.")]


def session_view(session: Session, current: SessionId) -> SessionView:
    """Return what a user sees of one of their sessions; `current` is the one that asks."""
    return SessionView(
        session.session_id,
        session.device,
        format_seconds(session.created_at),
        format_seconds(session.used_at),
        format_seconds(session.expires_at),
        session.session_id == current,
    )
