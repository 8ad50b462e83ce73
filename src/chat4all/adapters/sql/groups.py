"""What operators ask about groups, in SQL."""

from collections.abc import Sequence

from sqlalchemy import bindparam, exists, select

from chat4all.adapters.sql.tables import conversations, members, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.types import ByBytes
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import ConversationType, Role

_WITHOUT_ACTING_OWNER = (
    select(conversations.c.conversation_id, conversations.c.title)
    .where(
        conversations.c.type == ConversationType.GROUP.value,
        conversations.c.deleted_at.is_(None),
        ~exists()
        .where(
            members.c.conversation_id == conversations.c.conversation_id,
            members.c.role == Role.OWNER.value,
            users.c.username == members.c.username,
            users.c.disabled_at.is_(None),
        )
        .correlate(conversations),
    )
    .order_by(ByBytes(conversations.c.conversation_id))
)
_DISABLED_MEMBERS = (
    select(members.c.username)
    .join(users, users.c.username == members.c.username)
    .where(members.c.conversation_id == bindparam("conversation"), users.c.disabled_at.is_not(None))
)


class SqlGroups:
    """Groups as operators look at them."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def without_acting_owner(self) -> Sequence[tuple[ConversationId, str | None]]:
        """Return the groups in which no owner can sign in, each with its title."""
        rows = await self._database.read(
            lambda connection: connection.execute(_WITHOUT_ACTING_OWNER).all()
        )
        return [(ConversationId(conversation), title) for conversation, title in rows]

    async def disabled_members(self, conversation: ConversationId) -> frozenset[Username]:
        """Return the members of a conversation who cannot sign in."""
        names = await self._database.read(
            lambda connection: (
                connection.execute(_DISABLED_MEMBERS, {"conversation": conversation})
                .scalars()
                .all()
            )
        )
        return frozenset(map(Username, names))
