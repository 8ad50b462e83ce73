"""Every adapter of a port is a parameter of that port's fixture; the suites name none of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from chat4all.adapters.caching import (
    OutboxFollower,
    cached_people,
)
from chat4all.adapters.embedded import (
    EmbeddedConsumer,
    EmbeddedFeed,
    EmbeddedLog,
    EmbeddedStore,
    FolderBlobs,
    GatewayLink,
    RouterLink,
)
from chat4all.adapters.embedded.link import pair
from chat4all.adapters.metadata_http import (
    HttpOutbox,
    MetadataService,
    http_people,
)
from chat4all.adapters.prometheus import GatewayMetrics, RouterMetrics
from chat4all.adapters.prometheus.registry import new_registry
from chat4all.adapters.prometheus.router import ROUTING
from chat4all.adapters.prometheus.service import READS
from chat4all.adapters.prometheus.timing import Timings
from chat4all.adapters.sql import SqlOutbox, sql_people
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.metadata import InternalEndpoint
from chat4all.ports.blobs import Blobs
from chat4all.ports.dead_letters import DeadLetters
from chat4all.ports.directory import AnsweringDirectory, Memberships
from chat4all.ports.files import Files, Uploads
from chat4all.ports.log import LogConsumer
from chat4all.ports.outbox import Outbox
from chat4all.ports.people import PeoplePorts
from chat4all.ports.sessions import Sessions
from chat4all.ports.summaries import ConversationSummaries
from chat4all.ports.users import AllUsers
from tests.cluster.cassandra import an_empty_store
from tests.cluster.kafka import a_feed, a_log
from tests.cluster.s3 import a_bucket
from tests.contract.ports import KeptOutbox, Letters, Log, Store, VisibleHistory
from tests.databases import Databases, Place, place_at
from tests.feeds import Followed
from tests.metadata_service import CREDENTIAL, MetadataProcess, metadata_process, serving
from tests.tables import StoreOnTables, Tables

REAL = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(180)]
KAFKA = pytest.param("kafka", marks=REAL)
TABLES = "cassandra's statements, in memory"
CASSANDRA = pytest.param("cassandra", marks=REAL)


@dataclass
class Consuming:
    """A log and as many consumers of one group as a test wants, one after another."""

    log: Log
    consumer: Callable[[], AbstractAsyncContextManager[LogConsumer]]


async def no_lag() -> dict[int, int]:
    return {}


@asynccontextmanager
async def a_consuming(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Consuming]:
    if request.param == "kafka":
        async with a_log(request.getfixturevalue("kafka")) as kafka:
            yield Consuming(kafka.log, kafka.consumer)
        return
    log, store = EmbeddedLog(tmp_path / "log.db"), EmbeddedStore(tmp_path / "store.db")
    await log.open()
    await store.open()

    @asynccontextmanager
    async def consumer() -> AsyncIterator[LogConsumer]:
        yield EmbeddedConsumer(log, store, wait_seconds=0.2)

    yield Consuming(log, consumer)
    await log.close()
    await store.close()


@pytest.fixture(params=["embedded", "embedded, measured", KAFKA])
async def consuming(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Consuming]:
    async with a_consuming(request, tmp_path) as found:
        if "measured" in request.param:
            measured = GatewayMetrics("1", "problem").log(found.log)
            yield Consuming(measured, found.consumer)
        else:
            yield found


@pytest.fixture
def log(consuming: Consuming) -> Log:
    return consuming.log


@asynccontextmanager
async def the_stores(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Store, Letters]]:
    if request.param == "cassandra":
        async with an_empty_store(request.getfixturevalue("cassandra")) as on:
            yield on.store, on.letters
        return
    if request.param == TABLES:
        on_tables = StoreOnTables(Tables())
        yield on_tables, on_tables
        return
    embedded = EmbeddedStore(tmp_path / "store.db")
    await embedded.open()
    await embedded.follows("a log")
    yield embedded, embedded
    await embedded.close()


@pytest.fixture(params=["embedded", "embedded, measured", TABLES, CASSANDRA])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with the_stores(request, tmp_path) as (found, _):
        if "measured" in request.param:
            registry, operations = new_registry("test", "1"), sorted({*READS, *ROUTING})
            yield Timings(registry, "test", "a step", operations).timed(found)
        else:
            yield found


@pytest.fixture
def history(store: Store) -> VisibleHistory:
    return store


@pytest.fixture
def summaries(store: Store) -> ConversationSummaries:
    return store


@pytest.fixture(params=["embedded", "embedded, counted", TABLES, CASSANDRA])
async def sink(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Letters]:
    async with the_stores(request, tmp_path) as (_, found):
        counted = "counted" in request.param
        yield RouterMetrics("1", no_lag).dead_letters(found) if counted else found


@pytest.fixture
def letters(sink: Letters) -> DeadLetters:
    return sink


@pytest.fixture(params=["embedded", "embedded, over the link", KAFKA])
async def feed(request: pytest.FixtureRequest) -> AsyncIterator[Followed]:
    if request.param == "kafka":
        async with a_feed(request.getfixturevalue("kafka"), buffer=10) as arriving:
            yield arriving
        return
    here = EmbeddedFeed()
    if request.param == "embedded":
        yield Followed(here, here, buffer=10)
        return
    ends = pair()
    router = await RouterLink.over(ends[0], here.republish, here.heard)
    there = await GatewayLink.over(ends[1])
    taking = asyncio.create_task(router.run())
    yield Followed(there, here, buffer=10)
    there.close()
    await taking
    router.close()


A_REAL_SERVICE = "a real service by HTTP"
WAYS = ["asked", "cached", "by HTTP", "by HTTP, cached"]
SERVED = WAYS[2:]
ON_SERVERS = [pytest.mark.slow, pytest.mark.engines]
ON_SERVERS_AND_CACHED = [*ON_SERVERS, pytest.mark.endurance]
"""Caches stand on ports and know no database: what they do on SQLite is enough for every day."""


@pytest.fixture(
    params=[
        *[
            pytest.param(
                ("sqlite", way),
                id=f"sqlite, {way}",
                marks=[pytest.mark.thorough] if way in SERVED else [],
            )
            for way in WAYS
        ],
        *[
            pytest.param(
                (dialect, way),
                id=f"{dialect}, {way}",
                marks=ON_SERVERS_AND_CACHED if "cached" in way else ON_SERVERS,
            )
            for dialect, ways in (
                ("postgresql", [*WAYS, A_REAL_SERVICE]),
                ("cockroachdb", WAYS[:1]),
            )
            for way in ways
        ],
    ]
)
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The database, and how it is reached."""
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
async def known(
    setting: tuple[str, str], place: Place, process: MetadataProcess | None
) -> AsyncIterator[PeoplePorts]:
    way = setting[1]
    database = place.database
    people = sql_people(database)
    if way == "asked":
        yield people
        return
    if way == "cached":
        yield await cached(people, SqlOutbox(database))
        return
    async with AsyncExitStack() as stack:
        if process is not None:
            url = process.url
        else:
            endpoint = InternalEndpoint(CREDENTIAL.encode(), people, SqlOutbox(database))
            url = await stack.enter_async_context(serving(endpoint))
        service = MetadataService(url, CREDENTIAL)
        stack.push_async_callback(service.close)
        asked = http_people(service)
        if way != "by HTTP, cached":
            yield asked
            return
        yield await cached(asked, HttpOutbox(service))


@pytest.fixture
def uploads(known: PeoplePorts) -> Uploads:
    return known.uploads


@pytest.fixture
def files(known: PeoplePorts) -> Files:
    return known.files


async def cached(asked: PeoplePorts, outbox: Outbox) -> PeoplePorts:
    """Cache the ports. One poll is enough: the clock stands still, and a test alone writes."""
    follower = OutboxFollower(outbox, clock=lambda: 0.0)
    await follower.poll()
    return cached_people(asked, follower)


@pytest.fixture
def users(known: PeoplePorts) -> AllUsers:
    return known.users


@pytest.fixture
def directory(known: PeoplePorts) -> AnsweringDirectory:
    return known.directory


@pytest.fixture
def memberships(known: PeoplePorts) -> Memberships:
    return known.memberships


@pytest.fixture
def sessions(known: PeoplePorts) -> Sessions:
    return known.sessions


@pytest.fixture
def outbox(place: Place) -> KeptOutbox:
    return SqlOutbox(place.database)


@pytest.fixture(params=["folder", pytest.param("s3", marks=REAL)])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    if request.param == "s3":
        async with a_bucket(request.getfixturevalue("s3")) as bucket:
            yield bucket
        return
    folder = FolderBlobs(tmp_path / "files")
    await folder.open()
    yield folder
    await folder.close()
