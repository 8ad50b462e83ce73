"""Users, conversations and members in SQL."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, insert, literal, select
from sqlalchemy.exc import IntegrityError

from chat4all.adapters.sql.outbox import write_noted
from chat4all.adapters.sql.tables import conversations, members, private_pairs, users
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import AlreadyTaken, NotFound
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User
from chat4all.ports import Subject

# Built once: building a query takes longer than running it.
_ADD_USER = insert(users)
_USER = select(users.c.username, users.c.email, users.c.created_at).where(
    users.c.username == bindparam("username")
)
_PASSWORD_HASH = select(users.c.password_hash).where(users.c.username == bindparam("username"))
_KNOWN = select(users.c.username).where(users.c.username.in_(bindparam("names", expanding=True)))
_ADD_CONVERSATION = insert(conversations)
_CONVERSATION = select(
    conversations.c.type,
    conversations.c.title,
    conversations.c.created_at,
    conversations.c.metadata,
).where(conversations.c.conversation_id == bindparam("conversation"))
_ADD_MEMBERS = insert(members)
_MEMBERS = (
    select(members.c.username, members.c.role)
    .where(members.c.conversation_id == bindparam("conversation"))
    .order_by(members.c.username)
)
_ADD_PAIR = insert(private_pairs)
_OF_PAIR = select(private_pairs.c.conversation_id).where(
    private_pairs.c.lesser == bindparam("lesser"), private_pairs.c.greater == bindparam("greater")
)
_ONE = select(literal(1))

_ROLES = {role.value: role for role in Role}


class SqlDirectory:
    """The port `Directory`. The keys of the tables decide every race."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def add_user(self, user: User, password_hash: bytes) -> None:
        """Create a user; see `ports.Directory`."""
        row = {
            "username": user.username,
            "email": user.email,
            "email_key": user.email.casefold(),
            "password_hash": password_hash,
            "created_at": user.created_at,
        }

        def add(connection: Connection) -> None:
            connection.execute(_ADD_USER, row)

        try:
            await write_noted(self._database, add, Subject.USER, user.username)
        except IntegrityError as error:
            if await self.user(user.username) is not None:
                raise AlreadyTaken("this username is taken") from error
            raise AlreadyTaken("this e-mail address is in use") from error

    async def user(self, username: Username) -> User | None:
        """Return a user; see `ports.Directory`."""
        row = await self._database.read(
            lambda connection: connection.execute(_USER, {"username": username}).first()
        )
        return None if row is None else User(*row)

    async def password_hash(self, username: Username) -> bytes | None:
        """Return a user's password hash; see `ports.Directory`."""
        return await self._database.read(
            lambda connection: connection.execute(_PASSWORD_HASH, {"username": username}).scalar()
        )

    async def add_conversation(self, conversation: Conversation) -> Conversation:
        """Create a conversation, or return the pair's first; see `ports.Directory`."""
        names = sorted(conversation.members)
        private = conversation.type is ConversationType.PRIVATE
        if private and (first := await self._of_pair(*names)):
            return first

        def add(connection: Connection) -> None:
            _insert_conversation(connection, conversation)
            if private:
                lesser, greater = names
                connection.execute(
                    _ADD_PAIR,
                    {
                        "lesser": lesser,
                        "greater": greater,
                        "conversation_id": conversation.conversation_id,
                    },
                )

        try:
            await write_noted(self._database, add, Subject.MEMBERS, conversation.conversation_id)
        except IntegrityError as error:
            # Which key it was is asked again, in the state that now stands.
            if private and (first := await self._of_pair(*names)):
                return first
            if unknown := await self._first_unknown(names):
                raise NotFound(f"no such user: {unknown}") from error
            raise AlreadyTaken("this conversation id is in use") from error
        return conversation

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation; see `ports.Directory`."""
        return await self._database.read(lambda connection: _conversation(connection, conversation))

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.Directory`."""
        return await self._database.read(lambda connection: _members(connection, conversation))

    async def add_member(
        self, conversation: ConversationId, username: Username, role: Role
    ) -> None:
        """Let a user in; see `ports.Directory`."""
        row = {"conversation_id": conversation, "username": username, "role": role.value}

        def add(connection: Connection) -> None:
            connection.execute(_ADD_MEMBERS, row)

        try:
            await write_noted(self._database, add, Subject.MEMBERS, conversation)
        except IntegrityError as error:
            if username in await self.members(conversation):
                raise AlreadyTaken("already a member") from error
            raise NotFound("no such user or conversation") from error

    async def ping(self) -> None:
        """Return when the directory can answer."""
        await self._database.read(lambda connection: connection.execute(_ONE).scalar())

    async def _first_unknown(self, usernames: Sequence[Username]) -> Username | None:
        # One query: a group may have thousands of members.
        known = await self._database.read(
            lambda connection: set(connection.execute(_KNOWN, {"names": usernames}).scalars())
        )
        return next((username for username in usernames if username not in known), None)

    async def _of_pair(self, lesser: Username, greater: Username) -> Conversation | None:
        def find(connection: Connection) -> Conversation | None:
            pair = {"lesser": lesser, "greater": greater}
            found = connection.execute(_OF_PAIR, pair).scalar()
            return None if found is None else _conversation(connection, found)

        return await self._database.read(find)


def _conversation(connection: Connection, conversation: ConversationId) -> Conversation | None:
    row = connection.execute(_CONVERSATION, {"conversation": conversation}).first()
    if row is None:
        return None
    kind, title, created_at, metadata = row
    return Conversation(
        conversation,
        ConversationType(kind),
        title,
        _members(connection, conversation),
        created_at,
        metadata,
    )


def _members(connection: Connection, conversation: ConversationId) -> dict[Username, Role]:
    rows = connection.execute(_MEMBERS, {"conversation": conversation}).all()
    return {username: _ROLES[role] for username, role in rows}


def _insert_conversation(connection: Connection, conversation: Conversation) -> None:
    connection.execute(
        _ADD_CONVERSATION,
        {
            "conversation_id": conversation.conversation_id,
            "type": conversation.type.value,
            "title": conversation.title,
            "metadata": dict(conversation.metadata),
            "created_at": conversation.created_at,
        },
    )
    connection.execute(
        _ADD_MEMBERS,
        [
            {
                "conversation_id": conversation.conversation_id,
                "username": username,
                "role": role.value,
            }
            for username, role in conversation.members.items()
        ],
    )
