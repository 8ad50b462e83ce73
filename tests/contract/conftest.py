"""Every adapter of a port is a parameter of that port's fixture; the suites name none of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chat4all.adapters.embedded import (
    EmbeddedFeed,
    EmbeddedLog,
    EmbeddedStore,
    RememberingDirectory,
    RememberingSessions,
)
from chat4all.adapters.prometheus import GatewayMetrics, RouterMetrics
from chat4all.adapters.prometheus.registry import new_registry
from chat4all.adapters.prometheus.store import READS, ROUTING, MeasuredStore
from chat4all.adapters.prometheus.timing import Timings
from chat4all.adapters.sql import Database, SqlDirectory, SqlSessions, upgrade
from chat4all.ports import DeadLetters, Directory, LiveFeed, MessageLog, MessageStore, Sessions


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


@pytest.fixture(params=["embedded", "embedded, counted"])
def feed(request: pytest.FixtureRequest) -> LiveFeed:
    embedded = EmbeddedFeed(buffer=10)
    return RouterMetrics("1", no_lag).feed(embedded) if "counted" in request.param else embedded


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = Database(tmp_path / "metadata.db", busy_seconds=0.1)
    await upgrade(found)
    yield found
    await found.close()


@pytest.fixture(params=["sqlite", "sqlite, remembering"])
async def directory(request: pytest.FixtureRequest, database: Database) -> Directory:
    found = SqlDirectory(database)
    return RememberingDirectory(found) if "remembering" in request.param else found


@pytest.fixture(params=["sqlite", "sqlite, remembering"])
async def sessions(request: pytest.FixtureRequest, database: Database) -> Sessions:
    found = SqlSessions(database)
    return RememberingSessions(found) if "remembering" in request.param else found
