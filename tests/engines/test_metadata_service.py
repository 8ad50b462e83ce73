"""Gateways and metadata services as processes of their own, which die and come back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chat4all.adapters.metadata_http import MetadataService, http_people
from chat4all.adapters.sql import SqlDirectory, SqlUsers
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId
from chat4all.domain.people import Role
from chat4all.processes.directories import PeopleOfService, people_of_service
from chat4all.settings import load_settings
from tests.contract.test_directory import ANA, BRUNO, group, user
from tests.contract.test_sessions import refreshed, session
from tests.databases import Databases
from tests.metadata_service import CREDENTIAL, MetadataProcess, metadata_process

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(120)]

WITHIN_SECONDS = 5.0
BACK_SECONDS = 30.0


@pytest.fixture
def dsn(databases: Databases) -> str:
    return databases.new().dsn


@pytest.fixture
def services(dsn: str, tmp_path: Path) -> Iterator[list[MetadataProcess]]:
    with (
        metadata_process(dsn, tmp_path / "one") as one,
        metadata_process(dsn, tmp_path / "two") as two,
    ):
        yield [one, two]


@pytest.fixture
async def gateways(services: list[MetadataProcess]) -> AsyncIterator[list[PeopleOfService]]:
    async with AsyncExitStack() as stack:
        found = []
        for service in services:
            settings = load_settings(metadata_url=service.url, service_credential=CREDENTIAL)
            found.append(await stack.enter_async_context(people_of_service(settings.gateway)))
        for gateway in found:
            await holds(gateway.ping)
        yield found


@pytest.fixture
async def chat(dsn: str) -> ConversationId:
    """A chat of ana's."""
    database = ServerDatabase(ServerUrl("postgresql", dsn))
    users, directory = SqlUsers(database), SqlDirectory(database)
    for name in (ANA, BRUNO):
        await users.add_user(user(name), b"")
    found = await directory.add_conversation(group(ANA))
    await database.close()
    return found.conversation_id


async def holds(call: Callable[[], Awaitable[object]]) -> None:
    """Return once a call is answered."""
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            try:
                await call()
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def ends(call: Callable[[], Awaitable[object]], killed: float) -> None:
    """Return once a call is not answered any more; it must not be answered for too long."""
    while True:
        asked = time.monotonic()
        try:
            await call()
        except Unavailable:
            return
        assert asked - killed < WITHIN_SECONDS
        await asyncio.sleep(0.02)


async def test_what_changes_through_one_is_seen_by_the_other_within_5_s(
    gateways: list[PeopleOfService], chat: ConversationId
) -> None:
    here, there = gateways
    one = session("one")
    await here.people.sessions.start(one, refreshed())
    assert await there.people.sessions.get(one.session_id) == one
    assert await there.people.directory.members(chat) == {ANA: Role.OWNER}
    began = time.monotonic()
    await here.people.directory.add_member(chat, BRUNO, Role.MEMBER)
    await here.people.sessions.end(one.session_id)
    while await there.people.sessions.get(
        one.session_id
    ) is not None or BRUNO not in await there.people.directory.members(chat):
        assert time.monotonic() - began < WITHIN_SECONDS
        await asyncio.sleep(0.02)


async def test_cached_values_expire_without_the_service_and_are_used_again_with_it(
    gateways: list[PeopleOfService], services: list[MetadataProcess], chat: ConversationId
) -> None:
    here, there = gateways
    one = session("one")
    await here.people.sessions.start(one, refreshed())
    await there.people.sessions.get(one.session_id)
    await there.people.directory.members(chat)
    services[1].kill()
    killed = time.monotonic()
    # It ends there while its service cannot tell: nobody is taken for signed in for more than 5 s.
    await here.people.sessions.end(one.session_id)
    for ask in (
        lambda: there.people.sessions.get(one.session_id),
        lambda: there.people.directory.members(chat),
    ):
        await ends(ask, killed)
    with pytest.raises(Unavailable):
        await there.ping()
    assert await here.people.directory.members(chat) == {ANA: Role.OWNER}
    await asyncio.to_thread(services[1].start)
    await holds(there.ping)
    assert await there.people.directory.members(chat) == {ANA: Role.OWNER}
    assert await there.people.sessions.get(one.session_id) is None


async def test_a_database_that_is_away_is_noticed_within_5_s_and_comes_back(
    gateways: list[PeopleOfService], databases: Databases, chat: ConversationId
) -> None:
    gateway = gateways[0]
    await gateway.people.directory.members(chat)
    databases.server.kill()
    killed = time.monotonic()
    await ends(lambda: gateway.people.directory.members(chat), killed)
    with pytest.raises(Unavailable):
        await gateway.people.directory.add_member(chat, BRUNO, Role.MEMBER)
    databases.server.restart()
    await holds(gateway.ping)
    assert await gateway.people.directory.members(chat) == {ANA: Role.OWNER}
    await gateway.people.directory.add_member(chat, BRUNO, Role.MEMBER)
    assert BRUNO in await gateway.people.directory.members(chat)


async def test_a_database_that_was_made_anew_is_neither_read_nor_written(
    databases: Databases, tmp_path: Path
) -> None:
    """Else somebody could take the name of a user of before, who is still in the messages."""
    url = databases.new()
    with metadata_process(url.dsn, tmp_path / "log") as process:
        service = MetadataService(process.url, CREDENTIAL)
        users = http_people(service).users
        await users.add_user(user(ANA), b"")
        assert await users.user(ANA) == user(ANA)
        await asyncio.to_thread(databases.remake, url)
        # Nobody asks for its readiness: the service looks by itself.
        await ends(lambda: users.user(ANA), time.monotonic())
        for _ in range(3):
            for refused in (users.user(ANA), users.add_user(user(ANA), b"")):
                with pytest.raises(Unavailable):
                    await refused
        database = ServerDatabase(url)
        assert await SqlUsers(database).user(ANA) is None
        await database.close()
        process.kill()
        await asyncio.to_thread(process.start)
        await users.add_user(user(ANA), b"")
        await service.close()
