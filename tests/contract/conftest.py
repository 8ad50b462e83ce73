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
from chat4all.adapters.sql import Database, SqlDirectory, SqlSessions, upgrade
from chat4all.ports import DeadLetters, Directory, LiveFeed, MessageLog, MessageStore, Sessions


@pytest.fixture(params=["embedded"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MessageLog]:
    embedded = EmbeddedLog(tmp_path / "log.db")
    await embedded.open()
    yield embedded
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


@pytest.fixture
def store(embedded_store: EmbeddedStore) -> MessageStore:
    return embedded_store


@pytest.fixture
def dead_letters(embedded_store: EmbeddedStore) -> DeadLetters:
    return embedded_store


@pytest.fixture(params=["embedded"])
def feed(request: pytest.FixtureRequest) -> LiveFeed:
    return EmbeddedFeed(buffer=10)


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
