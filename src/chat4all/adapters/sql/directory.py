"""Users, conversations and members in SQL."""

from collections.abc import Mapping, Sequence

from sqlalchemy import insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chat4all.adapters.sql.engine import Database
from chat4all.adapters.sql.tables import conversations, members, private_pairs, users
from chat4all.domain.errors import AlreadyTaken, NotFound
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User


class SqlDirectory:
    """The port `Directory`. The keys of the tables decide every race."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_user(self, user: User, password_hash: bytes) -> None:
        """Create a user; see `ports.Directory`."""
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    insert(users).values(
                        username=user.username,
                        email=user.email,
                        email_key=user.email.casefold(),
                        password_hash=password_hash,
                        created_at=user.created_at,
                    )
                )
        except IntegrityError as error:
            if await self.user(user.username) is not None:
                raise AlreadyTaken("this username is taken") from error
            raise AlreadyTaken("this e-mail address is in use") from error

    async def user(self, username: Username) -> User | None:
        """Return a user; see `ports.Directory`."""
        query = select(users.c.username, users.c.email, users.c.created_at)
        async with self._database.read() as connection:
            row = (await connection.execute(query.where(users.c.username == username))).first()
        return None if row is None else User(*row)

    async def password_hash(self, username: Username) -> bytes | None:
        """Return a user's password hash; see `ports.Directory`."""
        query = select(users.c.password_hash).where(users.c.username == username)
        async with self._database.read() as connection:
            found: bytes | None = (await connection.execute(query)).scalar()
        return found

    async def add_conversation(self, conversation: Conversation) -> Conversation:
        """Create a conversation, or return the pair's first; see `ports.Directory`."""
        pair = sorted(conversation.members)
        private = conversation.type is ConversationType.PRIVATE
        if private and (first := await self._of_pair(*pair)):
            return first
        try:
            async with self._database.write() as connection:
                await _insert_conversation(connection, conversation)
                if private:
                    await connection.execute(
                        insert(private_pairs).values(
                            lesser=pair[0],
                            greater=pair[1],
                            conversation_id=conversation.conversation_id,
                        )
                    )
        except IntegrityError as error:
            # Which key it was is asked again, in the state that now stands.
            if private and (first := await self._of_pair(*pair)):
                return first
            if unknown := await self._first_unknown(pair):
                raise NotFound(f"no such user: {unknown}") from error
            raise AlreadyTaken("this conversation id is in use") from error
        return conversation

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation; see `ports.Directory`."""
        query = select(conversations).where(conversations.c.conversation_id == conversation)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            return None
        return Conversation(
            conversation,
            ConversationType(row["type"]),
            row["title"],
            await self.members(conversation),
            row["created_at"],
            row["metadata"],
        )

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; see `ports.Directory`."""
        query = select(members.c.username, members.c.role).where(
            members.c.conversation_id == conversation
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(members.c.username))).all()
        return {Username(username): Role(role) for username, role in rows}

    async def add_member(
        self, conversation: ConversationId, username: Username, role: Role
    ) -> None:
        """Let a user in; see `ports.Directory`."""
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    insert(members).values(
                        conversation_id=conversation, username=username, role=role.value
                    )
                )
        except IntegrityError as error:
            if username in await self.members(conversation):
                raise AlreadyTaken("already a member") from error
            raise NotFound("no such user or conversation") from error

    async def ping(self) -> None:
        """Return when the directory can answer."""
        async with self._database.read() as connection:
            await connection.execute(select(literal(1)))

    async def _first_unknown(self, usernames: Sequence[Username]) -> Username | None:
        # One query: a group may have thousands of members.
        query = select(users.c.username).where(users.c.username.in_(usernames))
        async with self._database.read() as connection:
            known = set((await connection.execute(query)).scalars())
        return next((username for username in usernames if username not in known), None)

    async def _of_pair(self, lesser: Username, greater: Username) -> Conversation | None:
        query = select(private_pairs.c.conversation_id).where(
            private_pairs.c.lesser == lesser, private_pairs.c.greater == greater
        )
        async with self._database.read() as connection:
            found = (await connection.execute(query)).scalar()
        return None if found is None else await self.conversation(ConversationId(found))


async def _insert_conversation(connection: AsyncConnection, conversation: Conversation) -> None:
    await connection.execute(
        insert(conversations).values(
            conversation_id=conversation.conversation_id,
            type=conversation.type.value,
            title=conversation.title,
            metadata=dict(conversation.metadata),
            created_at=conversation.created_at,
        )
    )
    await connection.execute(
        insert(members),
        [
            {
                "conversation_id": conversation.conversation_id,
                "username": username,
                "role": role.value,
            }
            for username, role in conversation.members.items()
        ],
    )
