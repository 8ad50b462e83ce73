"""Two transactions about one file at once, on a real PostgreSQL: one stops before its commit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.util import await_only

from chat4all.adapters.sql import SqlDirectory, SqlFiles, SqlUploads, SqlUsers
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.sharing import SqlSharing
from chat4all.domain.errors import Busy, Conflict, Fenced, NotFound, QuotaReached, Refused
from chat4all.domain.files import FileId, FileState, Quota
from chat4all.domain.ids import ConversationId
from tests.contract.test_directory import ANA, BRUNO, group, user
from tests.contract.test_files_known import detach, use_of
from tests.contract.test_uploads import FACTS, FREE, new_upload, progress_of, whole
from tests.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(60)]

T = TypeVar("T")

MESSAGE = "550e8400-e29b-41d4-a716-446655440000"
OTHER_MESSAGE = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"


@dataclass
class Stopping:
    """A database on which the first transaction that writes waits before its commit."""

    database: ServerDatabase
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self.database.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        def stopped(connection: Connection) -> T:
            value = work(connection)
            if not self.reached.is_set():
                self.reached.set()
                await_only(self.goes_on.wait())
            return value

        return await self.database.write(stopped)


class World:
    """An upload that Ana holds, a file of hers that a message names, and one that none does."""

    upload: FileId
    used: FileId
    unused: FileId
    chat: ConversationId

    def __init__(self, database: ServerDatabase) -> None:
        self.database = database
        self.stopping = Stopping(database)
        self.users, self.directory = SqlUsers(database), SqlDirectory(database)
        self.uploads, self.files = SqlUploads(database), SqlFiles(database)
        self.sharing = SqlSharing(database)

    async def fill(self) -> None:
        for name in (ANA, BRUNO):
            await self.users.add_user(user(name), b"")
        self.chat = (await self.directory.add_conversation(group(ANA, BRUNO))).conversation_id
        self.used, self.unused = await whole(self.uploads), await whole(self.uploads)
        self.upload = (await self.uploads.create(new_upload(), FREE)).file_id
        await self.uploads.take(self.upload, ANA, force=False)
        await self.files.attach(use_of(self.used, self.chat, message=MESSAGE))

    def first(self, name: str) -> Awaitable[object]:
        """Return a call whose transaction is stopped."""
        stopped = type(self)(self.database)
        stopped.__dict__ |= vars(self)
        stopping = self.stopping
        stopped.users, stopped.directory = SqlUsers(stopping), SqlDirectory(stopping)
        stopped.uploads, stopped.files = SqlUploads(stopping), SqlFiles(stopping)
        stopped.sharing = SqlSharing(stopping)
        return stopped.second(name)

    def second(self, name: str) -> Awaitable[object]:
        return self.calls()[name]()

    def calls(self) -> dict[str, Callable[[], Awaitable[object]]]:
        return {
            "take": lambda: self.uploads.take(self.upload, ANA, force=True),
            "take if free": lambda: self.uploads.take(self.upload, ANA, force=False),
            "advance": lambda: self.uploads.advance(self.upload, 1, progress_of(10)),
            "advance in part": lambda: self.uploads.advance(self.upload, 1, progress_of(4)),
            "release": lambda: self.uploads.release(self.upload, 1),
            "finish": lambda: self.uploads.finish(self.upload, 1, FACTS, FileState.READY),
            "end upload": lambda: self.uploads.end(self.upload, ANA),
            "end": lambda: self.uploads.end(self.unused, ANA),
            "attach": lambda: self.files.attach(use_of(self.unused, self.chat)),
            "forward": lambda: self.files.attach(
                use_of(self.used, self.chat, BRUNO, OTHER_MESSAGE)
            ),
            "detach": lambda: detach(self.files, use_of(self.used, self.chat, message=MESSAGE)),
            "erase": lambda: self.users.erase_user(ANA),
            "delete": lambda: self.directory.delete_conversation(self.chat),
            "garbage": lambda: self.files.garbage(10),
            "create": lambda: self.uploads.create(new_upload(size=10), Quota(of_user=40)),
            "create in all": lambda: self.uploads.create(
                new_upload(BRUNO, size=10), Quota(in_all=40)
            ),
        }

    async def both(self, first: str, second: str) -> tuple[object, object]:
        """Run the second while the first has done everything but its commit."""

        async def outcome(work: Awaitable[object]) -> object:
            try:
                return await work
            except Refused as error:
                return type(error)

        one = asyncio.create_task(outcome(self.first(first)))
        async with asyncio.timeout(30):
            await self.stopping.reached.wait()
        other = asyncio.create_task(outcome(self.second(second)))
        async with asyncio.timeout(30):
            while not other.done() and not await self.somebody_waits():
                await asyncio.sleep(0.01)
        self.stopping.goes_on.set()
        return await one, await other

    async def somebody_waits(self) -> bool:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(await self.database.read(lambda c: c.execute(waiting).scalar()))

    async def is_found(self, file_id: FileId) -> bool:
        try:
            await self.files.find(file_id, ANA)
        except NotFound:
            return False
        return True


@pytest.fixture
async def world(databases: Databases) -> AsyncIterator[World]:
    database = ServerDatabase(databases.new())
    found = World(database)
    await found.fill()
    yield found
    await database.close()


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [
        ("take", "advance", Fenced),
        ("take", "finish", Fenced),
        ("take", "take if free", Busy),
        ("release", "take if free", None),
        ("end upload", "advance", NotFound),
        ("end upload", "take", NotFound),
        ("end", "attach", NotFound),
        ("attach", "end", Conflict),
        ("detach", "forward", NotFound),
        ("forward", "detach", None),
        ("erase", "attach", NotFound),
        ("erase", "forward", NotFound),
        ("erase", "advance", NotFound),
        ("erase", "create", NotFound),
        ("attach", "erase", None),
        ("delete", "attach", NotFound),
        ("attach", "delete", None),
        ("create", "create", QuotaReached),
        ("create in all", "create in all", QuotaReached),
    ],
)
async def test_the_second_finds_what_the_first_has_done(
    world: World, first: str, second: str, refusal: type[Refused] | None
) -> None:
    outcomes = await world.both(first, second)
    refused = [one for one in outcomes if isinstance(one, type)]
    assert refused == ([] if refusal is None else [refusal])
    assert outcomes[0] not in refused
    garbage = {one.file_id for one in await world.files.garbage(10)}
    # What is given to be deleted is no file of anybody's any more, and the other way round.
    for file_id in (world.used, world.unused):
        assert (file_id in garbage) != await world.is_found(file_id)
    if "erase" in (first, second):
        assert garbage == {world.used, world.unused, world.upload}
    elif "delete" in (first, second):
        assert garbage == set()
        assert (await world.uploads.find(world.unused, ANA)).expires_at > 0
        assert (await world.uploads.find(world.used, ANA)).expires_at > 0


async def test_who_takes_an_upload_sees_what_was_kept_just_before(world: World) -> None:
    _, taken = await world.both("advance in part", "take")
    assert taken == await world.uploads.find(world.upload, ANA)
    assert (await world.uploads.find(world.upload, ANA)).progress.offset == 4


async def test_who_takes_an_upload_leaves_it_to_the_one_that_has_just_got_all(world: World) -> None:
    _, refused = await world.both("advance", "take")
    assert refused is Busy
    assert (await world.uploads.find(world.upload, ANA)).fence == 1


async def test_a_file_that_is_sent_as_it_expires_is_no_garbage(world: World) -> None:
    soon = text(
        "UPDATE files SET expires_at = CAST(extract(epoch FROM now()) * 1000 AS BIGINT) + 1500"
        f" WHERE file_id = '{world.unused}'"
    )
    await world.database.write(lambda connection: connection.execute(soon).rowcount)
    sending = asyncio.create_task(_done(world.first("attach")))
    await world.stopping.reached.wait()
    over = text(
        f"SELECT expires_at < extract(epoch FROM now()) * 1000 FROM files"
        f" WHERE file_id = '{world.unused}'"
    )
    async with asyncio.timeout(30):
        while not await world.database.read(lambda c: c.execute(over).scalar()):
            await asyncio.sleep(0.05)
    collecting = asyncio.create_task(_done(world.files.garbage(10)))
    async with asyncio.timeout(30):
        while not await world.somebody_waits():
            await asyncio.sleep(0.01)
    world.stopping.goes_on.set()
    await sending
    assert await collecting == []
    assert (await world.files.find(world.unused, BRUNO)).file_id == world.unused


async def _done(work: Awaitable[object]) -> object:
    return await work
