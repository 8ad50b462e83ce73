"""A user's conversations in SQL, for lists."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, select

from chat4all.adapters.sql.conversation_rows import first_members
from chat4all.adapters.sql.tables import conversations, members, private_pairs, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.listing import LISTED_MEMBERS_MAX, Detail, JoinedConversation
from chat4all.domain.people import ConversationType, Role
from chat4all.domain.times import parse_milliseconds

_OF_USER = select(members.c.conversation_id, members.c.role, members.c.joined_at).where(
    members.c.username == bindparam("username")
)
_NEWEST = select(func.max(members.c.joined_at))
_theirs = members.alias("theirs")
_SHARED = (
    select(_theirs.c.username, func.min(_theirs.c.conversation_id))
    .join(members, members.c.conversation_id == _theirs.c.conversation_id)
    .where(
        members.c.username == bindparam("viewer"),
        _theirs.c.username.in_(bindparam("names", expanding=True)),
    )
    .group_by(_theirs.c.username)
)
_CONVERSATIONS = select(
    conversations.c.conversation_id,
    conversations.c.type,
    conversations.c.title,
    conversations.c.created_at,
    conversations.c.metadata,
).where(
    conversations.c.conversation_id.in_(bindparam("keys", expanding=True)),
    conversations.c.deleted_at.is_(None),
)
_COUNTS = (
    select(members.c.conversation_id, func.count())
    .where(members.c.conversation_id.in_(bindparam("keys", expanding=True)))
    .group_by(members.c.conversation_id)
)
_PAIRS = select(
    private_pairs.c.conversation_id, private_pairs.c.lesser, private_pairs.c.greater
).where(private_pairs.c.conversation_id.in_(bindparam("keys", expanding=True)))
_ALIASES = select(users.c.username, users.c.alias).where(
    users.c.username.in_(bindparam("names", expanding=True)), users.c.alias.is_not(None)
)

_ROLES = {role.value: role for role in Role}


class SqlMemberships:
    """The port `ports.directory.Memberships`."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def of_user(self, username: Username) -> Sequence[JoinedConversation]:
        """Return all memberships of a user; see `ports.directory.Memberships`."""
        rows = await self._database.read(
            lambda connection: connection.execute(_OF_USER, {"username": username}).all()
        )
        return [
            JoinedConversation(conversation, _ROLES[role], at or "")
            for conversation, role, at in rows
        ]

    async def newest_ms(self) -> int:
        """Return when somebody last joined a conversation, in milliseconds since 1970.

        It reads every membership: for a start.
        """
        at = await self._database.read(lambda connection: connection.execute(_NEWEST).scalar())
        return parse_milliseconds(at) if at else 0

    async def details(
        self, conversations: Sequence[ConversationId], viewer: Username
    ) -> Mapping[ConversationId, Detail]:
        """Return what a member sees of conversations; see `ports.directory.Memberships`."""
        if not conversations:
            return {}
        return await self._database.read(
            lambda connection: _details(connection, list(conversations), viewer)
        )

    async def shared(
        self, viewer: Username, usernames: Sequence[Username]
    ) -> Mapping[Username, ConversationId]:
        """Return a conversation in common with each; see `ports.directory.Memberships`."""
        if not usernames:
            return {}
        asked = {"viewer": viewer, "names": list(usernames)}
        rows = await self._database.read(
            lambda connection: connection.execute(_SHARED, asked).all()
        )
        return {username: conversation for username, conversation in rows}  # noqa: C416 - of rows


def _details(
    connection: Connection, keys: list[ConversationId], viewer: Username
) -> dict[ConversationId, Detail]:
    rows = connection.execute(_CONVERSATIONS, {"keys": keys}).all()
    listed = defaultdict[str, dict[Username, Role]](dict)
    for conversation, username, role in first_members(connection, keys, LISTED_MEMBERS_MAX):
        listed[conversation][username] = role
    # Counting a large group takes long; of smaller ones all members are listed.
    large = [key for key, some in listed.items() if len(some) >= LISTED_MEMBERS_MAX]
    counts: dict[str, int] = {}
    if large:
        counted = connection.execute(_COUNTS, {"keys": large})
        counts = {conversation: count for conversation, count in counted}  # noqa: C416 - of rows
    private = [row.conversation_id for row in rows if row.type == ConversationType.PRIVATE]
    peers = _peers(connection, private, viewer) if private else {}
    return {
        conversation: Detail(
            ConversationType(kind),
            title,
            created_at,
            metadata,
            listed[conversation],
            counts.get(conversation, len(listed[conversation])),
            peers.get(conversation),
        )
        for conversation, kind, title, created_at, metadata in rows
    }


def _peers(
    connection: Connection, private: list[ConversationId], viewer: Username
) -> dict[ConversationId, Username]:
    peers = {
        conversation: greater if lesser == viewer else lesser
        for conversation, lesser, greater in connection.execute(_PAIRS, {"keys": private})
    }
    erased = connection.execute(_ALIASES, {"names": sorted(set(peers.values()))})
    aliases: dict[str, str] = {name: alias for name, alias in erased}  # noqa: C416 - of rows
    return {key: Username(aliases.get(name, name)) for key, name in peers.items()}
