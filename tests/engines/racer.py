"""One of two racers: `python -m tests.engines.racer DSN NAME`, which gets its orders line by line.

Each line is a kind of race and its number; the answer is `won`, `lost` or what went wrong.
"""

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable

from chat4all.adapters.sql import SqlDirectory, SqlFiles, SqlUploads, SqlUsers
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.domain.creations import CreationKey
from chat4all.domain.errors import (
    AlreadyTaken,
    Busy,
    Conflict,
    NotFound,
    NotSignedIn,
    QuotaReached,
)
from chat4all.domain.files import FileId, FileUse, NewUpload, Quota
from chat4all.domain.ids import ConversationId, MessageId, SessionId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User, UserChanges

ONE, OTHER = Username("one"), Username("other")
OLD = b"the old hash"


def group_of(number: int) -> ConversationId:
    return ConversationId(str(uuid.UUID(int=number)))


def friend_of(number: int) -> Username:
    return Username(f"friend{number}")


def session_of(name: Username, number: int) -> SessionId:
    return SessionId(f"{name}-{number}")


def file_of(number: int) -> FileId:
    return FileId(str(uuid.UUID(int=number)))


def upload_of(file_id: FileId, owner: Username) -> NewUpload:
    return NewUpload(file_id, owner, 10, "a file", "text/plain", f"f/{file_id}", "")


class Racer:
    def __init__(self, dsn: str, name: Username) -> None:
        self._name = name
        database = ServerDatabase(ServerUrl("postgresql", dsn))
        self._users, self._directory = SqlUsers(database), SqlDirectory(database)
        self._uploads, self._files = SqlUploads(database), SqlFiles(database)
        self.races: dict[str, Callable[[int], Awaitable[bool]]] = {
            "username": self.username,
            "email": self.email,
            "pair": self.pair,
            "owner": self.owner,
            "password": self.password,
            "creation": self.creation,
            "quota": self.quota,
            "upload": self.upload,
            "file": self.file,
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

    async def password(self, number: int) -> bool:
        """Both know the old password, each on a device of its own."""
        new = UserChanges(password_hash=self._name.encode())
        session = session_of(self._name, number)
        try:
            await self._users.change_user(friend_of(number), new, session, OLD)
        except NotSignedIn:
            return False
        return True

    async def creation(self, number: int) -> bool:
        """Both send one request, of the same user's and with the same key."""
        group = group_of(uuid.uuid4().int)
        wanted = Conversation(
            group, ConversationType.GROUP, None, {friend_of(number): Role.OWNER}, "2026"
        )
        key = CreationKey(friend_of(number), str(uuid.UUID(int=number)), b"h" * 32)
        try:
            await self._directory.add_conversation(wanted, friend_of(number), key)
        except AlreadyTaken:
            return False
        return True

    async def quota(self, number: int) -> bool:
        """There is room for one of the two."""
        new = upload_of(file_of(uuid.uuid4().int), friend_of(number))
        try:
            await self._uploads.create(new, Quota(of_user=new.size))
        except QuotaReached:
            return False
        return True

    async def upload(self, number: int) -> bool:
        """Both want to write to it."""
        try:
            await self._uploads.take(file_of(number), friend_of(number), force=False)
        except Busy:
            return False
        return True

    async def file(self, number: int) -> bool:
        """One sends it in a message while the other gives it up."""
        file_id = file_of(number)
        use = FileUse(file_id, group_of(0), MessageId(str(uuid.UUID(int=number))), ONE)
        try:
            if self._name == ONE:
                await self._files.attach(use)
            else:
                await self._uploads.end(file_id, ONE)
        except (NotFound, Conflict):
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
