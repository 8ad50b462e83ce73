"""Every adapter of a port is a parameter of that port's fixture; the suites name none of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chat4all.adapters.embedded import (
    EmbeddedFeed,
    EmbeddedLog,
    EmbeddedStore,
    GatewayLink,
    RememberingDirectory,
    RememberingSessions,
    RouterLink,
)
from chat4all.adapters.embedded.link import Announced, pair
from chat4all.adapters.metadata_http import (
    Following,
    FollowingDirectory,
    FollowingSessions,
    HttpDirectory,
    HttpOutbox,
    HttpSessions,
    MetadataService,
)
from chat4all.adapters.prometheus import GatewayMetrics, RouterMetrics
from chat4all.adapters.prometheus.registry import new_registry
from chat4all.adapters.prometheus.store import READS, ROUTING, MeasuredStore
from chat4all.adapters.prometheus.timing import Timings
from chat4all.adapters.sql import SqlDirectory, SqlOutbox, SqlSessions
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.metadata import InternalEndpoint
from chat4all.ports import (
    DeadLetters,
    Directory,
    LiveEvent,
    LiveFeed,
    MessageLog,
    MessageStore,
    Outbox,
    Sessions,
)
from tests.databases import Databases, Place, place_at
from tests.metadata_service import CREDENTIAL, MetadataProcess, metadata_process, serving


async def no_lag() -> dict[int, int]:
    return {}


@pytest.fixture(params=["embedded", "embedded, measured"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MessageLog]:
    embedded = EmbeddedLog(tmp_path / "log.db")
    await embedded.open()
    measured = "measured" in request.param
    yield GatewayMetrics("1", "problem").log(embedded) if measured else embedded
    await embedded.close()


@pytest.fixture(params=["embedded"])
async def embedded_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[EmbeddedStore]:
    embedded = EmbeddedStore(tmp_path / "store.db")
    await embedded.open()
    await embedded.follows("a log")
    yield embedded
    await embedded.close()


@pytest.fixture(params=["embedded", "embedded, measured"])
def store(request: pytest.FixtureRequest, embedded_store: EmbeddedStore) -> MessageStore:
    if "measured" not in request.param:
        return embedded_store
    operations = {*READS, *ROUTING}
    return MeasuredStore(
        embedded_store, Timings(new_registry("test", "1"), "test", "a step", sorted(operations))
    )


@pytest.fixture(params=["embedded", "embedded, counted"])
def dead_letters(request: pytest.FixtureRequest, embedded_store: EmbeddedStore) -> DeadLetters:
    counted = "counted" in request.param
    return RouterMetrics("1", no_lag).dead_letters(embedded_store) if counted else embedded_store


class LinkedFeed:
    """Announcements made at the router's end of a link, subscriptions at the gateway's."""

    def __init__(self) -> None:
        self.here = EmbeddedFeed(buffer=10)
        self.subscribe = self.here.subscribe
        self.there: GatewayLink | None = None
        self._arrived = asyncio.Event()

    def arrive(self, announced: Announced) -> None:
        self.here.republish(announced)
        self._arrived.set()

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        assert self.there is not None
        self._arrived.clear()
        await self.there.announce(events)
        # The suite speaks of what follows an announcement; here that is when it has arrived.
        async with asyncio.timeout(10):
            await self._arrived.wait()


@pytest.fixture(params=["embedded", "embedded, over the link"])
async def feed(request: pytest.FixtureRequest) -> AsyncIterator[LiveFeed]:
    if request.param == "embedded":
        yield EmbeddedFeed(buffer=10)
        return
    linked = LinkedFeed()
    here, there = pair()
    router, linked.there = await RouterLink.over(here, linked.arrive), await GatewayLink.over(there)
    taking = asyncio.create_task(router.run())
    yield linked
    linked.there.close()
    await taking
    router.close()


A_REAL_SERVICE = "a real service by HTTP"
WAYS = ["asked", "remembered", "by HTTP", "by HTTP, remembered"]
ON_SERVERS = [pytest.mark.slow, pytest.mark.engines]


@pytest.fixture(
    params=[
        *[pytest.param(("sqlite", way), id=f"sqlite, {way}") for way in WAYS],
        *[
            pytest.param((dialect, way), id=f"{dialect}, {way}", marks=ON_SERVERS)
            for dialect, ways in (
                ("postgresql", [*WAYS, A_REAL_SERVICE]),
                ("cockroachdb", WAYS[:1]),
            )
            for way in ways
        ],
    ]
)
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    """In which database, and how it is asked."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def where(
    setting: tuple[str, str], request: pytest.FixtureRequest, tmp_path: Path
) -> Path | ServerUrl:
    if setting[0] == "sqlite":
        return tmp_path / "metadata.db"
    databases: Databases = request.getfixturevalue("databases")
    return databases.new(setting[0])


@pytest.fixture
async def place(where: Path | ServerUrl) -> AsyncIterator[Place]:
    async with place_at(where) as found:
        yield found


@pytest.fixture
def process(
    setting: tuple[str, str], where: Path | ServerUrl, tmp_path: Path
) -> Iterator[MetadataProcess | None]:
    if setting[1] != A_REAL_SERVICE or isinstance(where, Path):
        yield None
        return
    with metadata_process(where.dsn, tmp_path / "log") as found:
        yield found


@pytest.fixture
async def people_and_sessions(
    setting: tuple[str, str], place: Place, process: MetadataProcess | None
) -> AsyncIterator[tuple[Directory, Sessions]]:
    way = setting[1]
    directory, sessions = SqlDirectory(place.database), SqlSessions(place.database)
    if way == "asked":
        yield directory, sessions
        return
    if way == "remembered":
        yield RememberingDirectory(directory), RememberingSessions(sessions)
        return
    async with AsyncExitStack() as stack:
        if process is not None:
            url = process.url
        else:
            outbox = SqlOutbox(place.database)
            endpoint = InternalEndpoint(CREDENTIAL.encode(), directory, sessions, outbox)
            url = await stack.enter_async_context(serving(endpoint))
        service = MetadataService(url, CREDENTIAL)
        stack.push_async_callback(service.close)
        asked = HttpDirectory(service), HttpSessions(service)
        if way != "by HTTP, remembered":
            yield asked
            return
        # Polled once: its clock stands, and each of the tests is its own only writer.
        following = Following(HttpOutbox(service), clock=lambda: 0.0)
        await following.poll()
        yield FollowingDirectory(asked[0], following), FollowingSessions(asked[1], following)


@pytest.fixture
def directory(people_and_sessions: tuple[Directory, Sessions]) -> Directory:
    return people_and_sessions[0]


@pytest.fixture
def sessions(people_and_sessions: tuple[Directory, Sessions]) -> Sessions:
    return people_and_sessions[1]


@pytest.fixture
def outbox(place: Place) -> Outbox:
    return SqlOutbox(place.database)
