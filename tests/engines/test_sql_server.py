"""PostgreSQL under the SQL adapters: conflicts, lost connections, commits whose answer was lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import Connection, text

from chat4all.adapters.sql import SqlDirectory, SqlOutbox, SqlSessions, SqlUsers
from chat4all.adapters.sql import outbox as sql_outbox
from chat4all.adapters.sql import server as sql_server
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.domain.errors import (
    AlreadyTaken,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Unavailable,
)
from chat4all.domain.ids import Username
from chat4all.domain.people import ConversationChanges, Role, UserChanges
from chat4all.domain.refresh_tokens import new_refresh_token
from chat4all.ports.outbox import Subject
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, private, user
from tests.contract.test_sessions import SOON, following, refreshed, session
from tests.databases import Databases

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines]

DEADLINE = 10.0


@pytest.fixture(params=["postgresql", "cockroachdb"])
def url(request: pytest.FixtureRequest, databases: Databases) -> ServerUrl:
    return databases.new(request.param)


@pytest.fixture
async def database(url: ServerUrl) -> AsyncIterator[ServerDatabase]:
    found = ServerDatabase(url)
    yield found
    await found.close()


def count(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM users")).scalar_one())


def raise_counter(connection: Connection) -> None:
    """Read and write what all others read and write: a conflict whenever two do it at once."""
    (found,) = connection.execute(text("SELECT title FROM conversations")).one()
    new = {"title": str(int(found) + 1)}
    connection.execute(text("UPDATE conversations SET title = :title"), new)


async def test_a_conflict_is_tried_again_until_it_is_none(database: ServerDatabase) -> None:
    users, directory = SqlUsers(database), SqlDirectory(database)
    await users.add_user(user(ANA), b"")
    await directory.add_conversation(replace(group(ANA), title="0"))
    runs = 0

    def counted(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        raise_counter(connection)

    await asyncio.gather(*[database.write(counted) for _ in range(5)])
    assert runs > 5, "there was no conflict"
    found = await database.read(
        lambda connection: connection.execute(text("SELECT title FROM conversations")).scalar()
    )
    assert found == "5"


async def test_conflicts_without_end_end(
    database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_server, "WAIT_FIRST_SECONDS", 0.0)
    runs = 0

    def fail(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        connection.execute(text("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$"))

    with pytest.raises(Unavailable) as refused:
        await database.write(fail)
    assert not isinstance(refused.value, OutcomeUnknown)
    assert runs == sql_server.TRIES


async def test_reading_writes_nothing(database: ServerDatabase) -> None:
    with pytest.raises(Unavailable, match="read-only"):
        await database.read(raise_counter_blindly)


def raise_counter_blindly(connection: Connection) -> None:
    connection.execute(text("UPDATE conversations SET title = ''"))


async def test_lost_connections_are_not_noticed(url: ServerUrl, database: ServerDatabase) -> None:
    users, directory = SqlUsers(database), SqlDirectory(database)
    await asyncio.gather(*[directory.ping() for _ in range(sql_server.CONNECTIONS)])
    other = await asyncpg.connect(url.dsn)
    killed = await other.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await other.close()
    assert len(killed) == sql_server.CONNECTIONS
    await users.add_user(user(ANA), b"")
    assert await users.user(ANA) == user(ANA)


async def test_a_server_that_dies_and_comes_back(
    database: ServerDatabase, databases: Databases
) -> None:
    users, directory = SqlUsers(database), SqlDirectory(database)
    await users.add_user(user(ANA), b"")
    databases.server.kill()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await directory.members(group(ANA).conversation_id)
    with pytest.raises(Unavailable):
        await users.add_user(user(BRUNO), b"")
    assert time.monotonic() - began < 2 * (sql_server.CALL_SECONDS + 0.5)
    databases.server.restart()
    assert await users.user(ANA) == user(ANA)
    await users.add_user(user(BRUNO), b"")


async def test_a_server_that_hangs_is_not_waited_for(
    database: ServerDatabase, databases: Databases
) -> None:
    users = SqlUsers(database)
    await users.add_user(user(ANA), b"")
    databases.server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await users.user(ANA)
        assert time.monotonic() - began < sql_server.CALL_SECONDS + 0.5
    finally:
        databases.server.resume()
    assert await users.user(ANA) == user(ANA)


async def test_a_cancelled_caller_leaves_its_connection_usable(url: ServerUrl) -> None:
    database = ServerDatabase(url, connections=1)
    other = await asyncpg.connect(url.dsn)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            reading = asyncio.create_task(database.read(count))
            async with asyncio.timeout(DEADLINE):
                while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    await asyncio.sleep(0.01)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert await database.read(count) == 0
    finally:
        await other.close()
        await database.close()


async def test_one_more_than_may_wait_is_refused_at_once(
    database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database._waiting, "limit", 2)
    waiting = [asyncio.create_task(database.read(count)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await database.read(count)
    assert await asyncio.gather(*waiting) == [0, 0]
    assert await database.read(count) == 0


async def test_what_the_server_cannot_hold_is_refused_and_not_unavailable(
    database: ServerDatabase,
) -> None:
    users, directory = SqlUsers(database), SqlDirectory(database)
    await users.add_user(user(ANA), b"")
    with pytest.raises(InvalidInput):
        await directory.add_conversation(replace(group(ANA), title="a\0b"))
    with pytest.raises(InvalidInput):
        await directory.add_conversation(replace(group(ANA), metadata={"a": "\0"}))
    with pytest.raises(InvalidInput):
        await users.user(Username("a\0b"))


async def test_an_error_shows_no_values_and_no_password(
    url: ServerUrl, database: ServerDatabase
) -> None:
    secret = ServerUrl(url.dialect, url.dsn.replace("chat4all@", "nobody:very-secret@"))
    away = ServerDatabase(secret)
    with pytest.raises(Unavailable) as refused:
        await away.read(count)
    await away.close()
    assert "very-secret" not in str(refused.value)


class CutAtCommit:
    """Between a client and the server: cuts connections when a commit comes, as often as told."""

    def __init__(self, url: ServerUrl) -> None:
        self._url = url
        self.cuts = 0
        self.passes_on = True
        """Whether the server sees the commit at which the client is cut off."""
        self.closed = False
        """Whether nobody is let in after a cut."""
        self.commits = 0

    @asynccontextmanager
    async def between(self) -> AsyncIterator[ServerUrl]:
        serving: set[asyncio.Task[None]] = set()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving.add(asyncio.create_task(self._serve(reader, writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        dsn = self._url.dsn.replace(f":{urlsplit(self._url.dsn).port}/", f":{port}/")
        yield ServerUrl(self._url.dialect, dsn)
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed and self.commits:
            writer.transport.abort()
            return
        at = urlsplit(self._url.dsn)
        from_server, to_server = await asyncio.open_connection(at.hostname, at.port)
        cut = asyncio.Event()
        ways = [
            asyncio.create_task(self._there(reader, to_server, cut)),
            asyncio.create_task(self._back(from_server, writer, cut)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, to_server):
                end.transport.abort()

    async def _there(
        self, client: asyncio.StreamReader, server: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while data := await client.read(65536):
            if b"COMMIT" in data and self.cuts:
                self.cuts -= 1
                self.commits += 1
                cut.set()
                if not self.passes_on:
                    return
            server.write(data)

    async def _back(
        self, server: asyncio.StreamReader, client: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while data := await server.read(65536):
            if cut.is_set() and b"COMMIT\0" in data:  # the server's word that it is done
                return
            client.write(data)


@pytest.mark.parametrize("passes_on", [True, False])
async def test_a_commit_of_which_nobody_heard_is_done_once(url: ServerUrl, passes_on: bool) -> None:
    cutting = CutAtCommit(url)
    cutting.passes_on = passes_on
    async with cutting.between() as through:
        database = ServerDatabase(through)
        users, directory = SqlUsers(database), SqlDirectory(database)
        sessions = SqlSessions(database)
        await sessions.end(session("none").session_id)  # and sweeps have been made
        outbox = SqlOutbox(database)
        chat, pair, one = group(ANA, BRUNO), private(ANA, BRUNO), session("one")
        for name in (ANA, BRUNO):
            await users.add_user(user(name), b"")
        await sessions.start(session("other"), refreshed())

        async def cut(work: Callable[[], Awaitable[object]], *entries: tuple[Subject, str]) -> None:
            before = {entry.entry_id for entry in (await outbox.after(await now(outbox))).entries}
            cutting.cuts, commits = 1, cutting.commits
            await work()
            assert cutting.commits == commits + 1
            page = await outbox.after(await now(outbox))
            new = [e for e in page.entries if e.entry_id not in before]
            assert [(e.subject, e.key) for e in new] == list(entries)

        await cut(lambda: users.add_user(user(CARLA), b""), (Subject.USER, CARLA))
        await cut(lambda: directory.add_conversation(chat), (Subject.MEMBERS, chat.conversation_id))
        await cut(lambda: directory.add_conversation(pair), (Subject.MEMBERS, pair.conversation_id))
        await cut(
            lambda: directory.add_member(chat.conversation_id, CARLA, Role.ADMIN),
            (Subject.MEMBERS, chat.conversation_id),
        )
        await cut(lambda: sessions.start(one, refreshed()), (Subject.SESSION, "one"))
        assert await sessions.get(one.session_id) == one
        await cut(lambda: sessions.end(one.session_id), (Subject.SESSION, "one"))
        assert await sessions.get(one.session_id) is None

        first = new_refresh_token()
        spent, new = refreshed(first), refreshed(following(first)).token
        await sessions.start(session("two"), spent)

        async def rotate() -> None:
            # Not taken for a token that was spent before, though its hash was replaced.
            assert (await sessions.rotate(spent, new, 1, SOON)).session is not None

        await cut(rotate, (Subject.SESSION, "two"))
        in_chat = (Subject.MEMBERS, chat.conversation_id)
        key = chat.conversation_id
        await cut(lambda: directory.change_role(key, CARLA, Role.OWNER, ANA), in_chat)
        changes = ConversationChanges("Outra")
        await cut(lambda: directory.change_conversation(key, changes, ANA), in_chat)
        # Run again, its rule refuses: by then she is no member.
        await cut(lambda: directory.remove_member(key, ANA, ANA), in_chat)
        await cut(lambda: directory.delete_conversation(key, CARLA), in_chat)
        renamed = UserChanges(display_name="x")
        await cut(lambda: users.change_user(CARLA, renamed), (Subject.USER, CARLA))
        await cut(lambda: users.disable_user(CARLA), (Subject.USER, CARLA))
        await cut(lambda: users.erase_user(CARLA), (Subject.ALIAS, CARLA))
        assert set(await users.aliases([CARLA])) == {CARLA}

        # A refusal stays one.
        with pytest.raises(AlreadyTaken):
            await users.add_user(user(CARLA), b"")
        with pytest.raises(NotFound):
            await directory.add_member(chat.conversation_id, CARLA, Role.ADMIN)
        with pytest.raises(NotFound):
            await users.erase_user(CARLA)
        await database.close()


async def now(outbox: SqlOutbox) -> int:
    return (await outbox.after(None)).position


@pytest.mark.parametrize("passes_on", [True, False])
async def test_an_outcome_that_stays_unknown_is_told_as_such(
    url: ServerUrl, passes_on: bool
) -> None:
    cutting = CutAtCommit(url)
    cutting.cuts, cutting.passes_on, cutting.closed = 1, passes_on, True
    async with cutting.between() as through:
        database = ServerDatabase(through)
        with pytest.raises(OutcomeUnknown):
            await SqlUsers(database).add_user(user(ANA), b"")
        await database.close()
    direct = ServerDatabase(url)
    assert await direct.read(count) == int(passes_on)
    await direct.close()


async def test_a_slow_transaction_is_not_passed_by(
    url: ServerUrl, database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, users = SqlOutbox(database), SqlUsers(database)
    beginning = await now(outbox)
    slow = await asyncpg.connect(url.dsn)
    transaction = slow.transaction(isolation="serializable")
    await transaction.start()
    await slow.execute(
        "INSERT INTO outbox (entry_id, at, subject, key) VALUES"
        " ('slow', CAST(extract(epoch FROM now()) * 1000 AS BIGINT), 'members', 'chat')"
    )
    await users.add_user(user(ANA), b"")
    page = await outbox.after(beginning)
    assert [entry.key for entry in page.entries] == [ANA]
    await transaction.commit()
    await slow.close()
    after = await outbox.after(page.position)
    assert {entry.key for entry in after.entries} == {ANA, "chat"}
    # Without the overlap it would never be seen.
    monkeypatch.setattr(sql_outbox, "OVERLAP_SECONDS", 0)
    assert (await outbox.after(page.position)).entries == []


def test_the_overlap_is_longer_than_any_transaction() -> None:
    assert sql_outbox.OVERLAP_SECONDS > sql_server.LONGEST_SECONDS + 0.5


async def test_the_server_ends_what_is_left_lying(
    url: ServerUrl, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_server, "CALL_SECONDS", 0.5)
    database = ServerDatabase(url)

    def settings(connection: Connection) -> list[str]:
        names = ("statement_timeout", "idle_in_transaction_session_timeout")
        return [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]

    assert await database.read(settings) == ["500ms", "500ms"]
    await database.close()
