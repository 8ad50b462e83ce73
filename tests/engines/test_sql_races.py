"""Two processes want the same thing at once, on a real PostgreSQL at SERIALIZABLE."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from chat4all.adapters.sql import SqlDirectory, SqlSessions, SqlUploads, SqlUsers
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.domain.files import FileState, Quota
from chat4all.domain.people import Conversation, ConversationType, Role, Session, User
from tests.contract.test_sessions import refreshed
from tests.contract.test_uploads import FACTS, progress_of
from tests.databases import Databases
from tests.engines.racer import (
    OLD,
    ONE,
    OTHER,
    file_of,
    friend_of,
    group_of,
    session_of,
    upload_of,
)

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines]

TIMES = 200


@pytest.fixture
async def ready(databases: Databases, kind: str) -> str:
    """A database with the rows that the races are about."""
    url = databases.new()
    database = ServerDatabase(url)
    users, directory = SqlUsers(database), SqlDirectory(database)
    for name in (ONE, OTHER, *map(friend_of, range(TIMES))):
        await users.add_user(User(name, f"{name}@x.org", ""), OLD)
    if kind == "password":
        sessions, end = SqlSessions(database), int(time.time()) + 3_600
        for number in range(TIMES):
            for device in (ONE, OTHER):
                one = Session(session_of(device, number), friend_of(number), end)
                await sessions.start(one, refreshed())
    if kind in ("upload", "file"):
        uploads = SqlUploads(database)
        for number in range(TIMES):
            owner = ONE if kind == "file" else friend_of(number)
            new = upload_of(file_of(number), owner)
            await uploads.create(new, Quota(uploads_of_user=TIMES))
            if kind == "file":
                fence = (await uploads.take(new.file_id, owner, force=False)).fence
                await uploads.advance(new.file_id, fence, progress_of(new.size))
                await uploads.finish(new.file_id, fence, FACTS, FileState.READY)
    if kind in ("owner", "file"):
        owners = dict.fromkeys((ONE, OTHER), Role.OWNER)
        for number in range(TIMES):
            group = Conversation(group_of(number), ConversationType.GROUP, None, owners, "2026")
            await directory.add_conversation(group)
    await database.close()
    return url.dsn


@pytest.fixture
def racers(ready: str) -> Iterator[list["subprocess.Popen[str]"]]:
    found = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engines.racer", ready, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in (ONE, OTHER)
    ]
    yield found
    for one in found:
        one.kill()
        one.communicate()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "kind",
    ["username", "email", "pair", "owner", "password", "creation", "quota", "upload", "file"],
)
async def test_of_two_who_want_the_same_exactly_one_wins(
    racers: list["subprocess.Popen[str]"], kind: str
) -> None:
    winners: Counter[int] = Counter()
    for number in range(TIMES):
        # Who is told first may have a start of some microseconds: in turns.
        for one in racers if number % 2 else racers[::-1]:
            assert one.stdin is not None
            one.stdin.write(f"{kind} {number}\n")
            one.stdin.flush()
        said = [one.stdout.readline().strip() for one in racers if one.stdout is not None]
        assert sorted(said) == ["lost", "won"], (number, said)
        winners[said.index("won")] += 1
    # Both win now and then: they did meet, and neither was always there first.
    assert min(winners[0], winners[1]) > 0, winners
