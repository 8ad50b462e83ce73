"""A bucket that is gone while the database has files: `chat4all migrate` makes no other one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chat4all.adapters.s3 import S3Blobs
from chat4all.adapters.sql import Database
from chat4all.domain.buckets import Bucket
from chat4all.domain.errors import NotFound, StartRefused
from chat4all.operations import migrating
from tests.api.conftest import running
from tests.api.tus import Tus

pytestmark = pytest.mark.anyio

BUCKET = Bucket("http://minio:9000", "pictures", "us-east-1", "key", "secret")


class Store(S3Blobs):
    """A store whose bucket is there once it was made."""

    def __init__(self) -> None:
        super().__init__(BUCKET)
        self.called: list[str] = []

    async def _call(self, operation: str, **_: Any) -> Any:
        self.called.append(operation)
        if operation == "head_bucket" and "create_bucket" not in self.called:
            raise NotFound("no such bucket")


async def test_no_bucket_is_made_where_files_are_known() -> None:
    """Fails otherwise: all is well afterwards, and nobody is told that every file is lost."""
    store = Store()
    with pytest.raises(StartRefused, match="has no bucket pictures, and the database has files"):
        await store.make_bucket(has_files=True)
    assert store.called == ["head_bucket"]
    await store.make_bucket(has_files=False)
    assert "create_bucket" in store.called
    await store.make_bucket(has_files=True)  # which is there now


async def test_a_migration_asks_the_database_for_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store, settings = tmp_path / "data" / "metadata.db", Store(), _settings()

    async def nothing(*_: object, **__: object) -> None:
        return None

    @asynccontextmanager
    async def opened(_: object) -> AsyncIterator[Store]:
        yield store

    for name in ("migrate", "_make_log", "upgrade_server"):
        monkeypatch.setattr(migrating, name, nothing)
    for name in ("contact_of", "CassandraEpochs"):
        monkeypatch.setattr(migrating, name, lambda _: None)
    monkeypatch.setattr(migrating, "CassandraSession", lambda _: SimpleNamespace(close=nothing))
    monkeypatch.setattr(migrating, "opened_blobs", opened)
    monkeypatch.setattr(migrating, "ServerDatabase", lambda *_, **__: Database(path))
    async with running(tmp_path / "data") as api:
        await Tus(api, await api.sign_in("bruno")).upload(b"content")
    with pytest.raises(StartRefused, match="the database has files"):
        await migrating.migrate_cluster(settings)


def _settings() -> Any:
    return SimpleNamespace(
        cassandra=None,
        keyspace_replicas=1,
        database_url="cockroachdb://metadata:secret@localhost/chat4all",
        files=None,
    )
