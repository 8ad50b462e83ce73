"""Two transactions about equal files at once, on a real PostgreSQL: one stops before its commit."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from chat4all.adapters.sql.server import ServerDatabase
from chat4all.domain.errors import NotFound
from chat4all.domain.files import FileId, FileState
from chat4all.domain.ids import Username
from tests.contract.test_directory import ANA, BRUNO, CARLA, user
from tests.contract.test_sharing import shared_by
from tests.contract.test_uploads import FACTS, FREE, new_upload, progress_of, whole
from tests.databases import Databases
from tests.engines.test_sql_files import World

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(60)]


class Equal(World):
    """A file of Ana's that was compared, one of Bruno's that waits, an upload of Carla's."""

    joined: FileId
    late: FileId

    async def fill(self) -> None:
        for name in (ANA, BRUNO, CARLA):
            await self.users.add_user(user(name), b"")
        self.joined = await whole(self.uploads, ANA)
        await shared_by(self.sharing)
        self.late = await whole(self.uploads, BRUNO)
        self.upload = (await self.uploads.create(new_upload(CARLA), FREE)).file_id
        await self.uploads.take(self.upload, CARLA, force=False)
        await self.uploads.advance(self.upload, 1, progress_of(10))
        self.owners = {self.joined: ANA, self.late: BRUNO, self.upload: CARLA}
        self.own = {
            one: (await self.uploads.find(one, who)).key for one, who in self.owners.items()
        }

    def calls(self) -> dict[str, Callable[[], Awaitable[object]]]:
        return {
            "share": lambda: shared_by(self.sharing),
            "garbage": lambda: self.files.garbage(1),
            "end joined": lambda: self.uploads.end(self.joined, ANA),
            "end late": lambda: self.uploads.end(self.late, BRUNO),
            "erase joined": lambda: self.users.erase_user(ANA),
            "erase late": lambda: self.users.erase_user(BRUNO),
            "finish": lambda: self.uploads.finish(self.upload, 1, FACTS, FileState.READY),
        }

    async def key_of(self, file_id: FileId) -> str | None:
        """Return where a file is, if it is there."""
        try:
            return (await self.files.find(file_id, Username(self.owners[file_id]))).key
        except NotFound:
            return None

    async def check(self) -> set[str]:
        """Fail if what collectors were told, or are told now, is named; return what is named."""
        told = {key for one in await self.files.garbage(100) for key in one.keys}
        named = {key for one in self.owners if (key := await self.key_of(one)) is not None}
        assert not named & told
        return named


@pytest.fixture
async def equal(databases: Databases) -> AsyncIterator[Equal]:
    database = ServerDatabase(databases.new())
    found = Equal(database)
    await found.fill()
    yield found
    await database.close()


@pytest.mark.parametrize("change", ["end joined", "end late", "erase joined", "erase late"])
@pytest.mark.parametrize("is_first", [False, True])
async def test_who_goes_while_files_are_compared(equal: Equal, change: str, is_first: bool) -> None:
    await equal.both(*((change, "share") if is_first else ("share", change)))
    stays = equal.late if "joined" in change else equal.joined
    own, key = equal.own[stays], await equal.key_of(stays)
    if change.endswith("joined") and not is_first:
        assert key in (own, equal.own[equal.joined])  # by whichever was committed first
    else:
        assert key == own
    assert await equal.check() == {key}


async def test_files_that_are_compared_twice_at_once(equal: Equal) -> None:
    await equal.both("share", "share")
    assert await equal.check() == {equal.own[equal.joined]}


@pytest.mark.parametrize("both", [("share", "finish"), ("finish", "share")])
async def test_a_file_that_is_finished_while_others_are_compared(
    equal: Equal, both: tuple[str, str]
) -> None:
    await equal.both(*both)
    await shared_by(equal.sharing)
    assert await equal.check() == {equal.own[equal.joined]}


async def test_two_that_are_finished_and_compared_at_once_by_two(equal: Equal) -> None:
    """With nobody to join: one of them is joined by the other, never each by the other."""
    await equal.uploads.end(equal.joined, ANA)
    await equal.uploads.finish(equal.upload, 1, FACTS, FileState.READY)
    await equal.both("share", "share")
    assert await equal.check() in ({equal.own[equal.late]}, {equal.own[equal.upload]})


@pytest.mark.parametrize("both", [("garbage", "share"), ("share", "garbage")])
async def test_an_object_is_joined_or_given_to_be_deleted(
    equal: Equal, both: tuple[str, str]
) -> None:
    """Its last file is given up, while a collector asks and another file is to join it."""
    await equal.uploads.end(equal.joined, ANA)
    outcomes = await equal.both(*both)
    told = {key for some in outcomes if isinstance(some, list) for one in some for key in one.keys}
    assert told
    assert not await equal.check() & told
    assert await equal.key_of(equal.late) == equal.own[equal.late]


@pytest.mark.parametrize("second", ["garbage", "end late", "erase late"])
async def test_the_last_two_go_at_once(equal: Equal, second: str) -> None:
    """Fails where each of two collectors leaves the object to the other."""
    await shared_by(equal.sharing)
    await equal.uploads.end(equal.joined, ANA)
    if second == "garbage":
        await equal.uploads.end(equal.late, BRUNO)
    outcomes = await equal.both("garbage", second)
    given = [one for some in outcomes if isinstance(some, list) for one in some]
    given += [one for _ in range(2) for one in await equal.files.garbage(100)]
    told = {key for one in given for key in one.keys}
    assert {equal.own[equal.joined], equal.own[equal.late]} <= told
