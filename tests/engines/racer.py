"""One of two racers: `python -m tests.engines.racer DSN NAME`, which gets its orders line by line.

Each line is a kind of race and its number; the answer is `won`, `lost` or what went wrong.
"""

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable

from chat4all.adapters.sql import SqlDirectory, SqlUsers
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.domain.errors import AlreadyTaken, Conflict
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User

ONE, OTHER = Username("one"), Username("other")


def group_of(number: int) -> ConversationId:
    return ConversationId(str(uuid.UUID(int=number)))


def friend_of(number: int) -> Username:
    return Username(f"friend{number}")


class Racer:
    def __init__(self, dsn: str, name: Username) -> None:
        self._name = name
        database = ServerDatabase(ServerUrl("postgresql", dsn))
        self._users, self._directory = SqlUsers(database), SqlDirectory(database)
        self.races: dict[str, Callable[[int], Awaitable[bool]]] = {
            "username": self.username,
            "email": self.email,
            "pair": self.pair,
            "owner": self.owner,
        }

    async def username(self, number: int) -> bool:
        return await self._add(f"racer{number}", f"{self._name}{number}@x.org")

    async def email(self, number: int) -> bool:
        return await self._add(f"{self._name}{number}", f"same{number}@x.org")

    async def pair(self, number: int) -> bool:
        key = ConversationId(str(uuid.uuid4()))
        members = dict.fromkeys((ONE, friend_of(number)), Role.MEMBER)
        wanted = Conversation(key, ConversationType.PRIVATE, None, members, "2026")
        return (await self._directory.add_conversation(wanted)).conversation_id == key

    async def owner(self, number: int) -> bool:
        try:
            await self._directory.remove_member(group_of(number), self._name, self._name)
        except Conflict:
            return False
        return True

    async def _add(self, name: str, email: str) -> bool:
        try:
            await self._users.add_user(User(Username(name), email, ""), b"")
        except AlreadyTaken:
            return False
        return True


def main(dsn: str, name: str) -> None:
    with asyncio.Runner() as runner:

        async def make() -> Racer:
            return Racer(dsn, Username(name))

        racer = runner.run(make())
        for line in sys.stdin:
            kind, number = line.split()

            async def race(kind: str = kind, number: int = int(number)) -> bool:
                return await racer.races[kind](number)

            try:
                said = "won" if runner.run(race()) else "lost"
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            print(said, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
