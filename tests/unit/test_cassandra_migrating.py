"""The lock of a migration of the keyspace, and what stops it, without a node."""

import uuid
from typing import Any
from unittest.mock import AsyncMock

import pytest
from acsylla.errors import CassErrorLibNoHostsAvailable, CassErrorServerUnauthorized

from chat4all.adapters.cassandra import Contact, migrate, migrating
from chat4all.domain.errors import Unavailable

pytestmark = pytest.mark.anyio

HOLDER = uuid.uuid4()


class Keyspace:
    """Gives the lock at the last of `tries`, or never."""

    def __init__(self, tries: int) -> None:
        self.tries = tries
        self.asked: list[tuple[object, ...]] = []

    async def run(self, _: Any, text: str, *values: object) -> list[tuple[Any, ...]]:
        assert text == migrating._LOCK
        self.asked.append(values)
        if len(self.asked) == self.tries:
            return [(True,)]
        return [(False, 0, HOLDER, None, None)]  # with the row that is in the way


async def test_another_migration_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    keyspace = Keyspace(tries=3)
    monkeypatch.setattr(migrating, "_run", keyspace.run)
    monkeypatch.setattr(migrating, "LOCK_EVERY_SECONDS", 0.001)
    await migrating._lock(None, HOLDER)
    assert keyspace.asked == [(HOLDER, migrating.LOCK_SECONDS)] * 3


async def test_one_that_does_not_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    keyspace = Keyspace(tries=-1)
    monkeypatch.setattr(migrating, "_run", keyspace.run)
    monkeypatch.setattr(migrating, "LOCK_EVERY_SECONDS", 0.001)
    monkeypatch.setattr(migrating, "LOCK_SECONDS", 0.01)
    with pytest.raises(Unavailable, match=r"^another migration of the keyspace does not end$"):
        await migrating._lock(None, HOLDER)
    assert len(keyspace.asked) > 1


async def test_a_table_that_is_being_created_is_not_the_original(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its columns are read before it is there, and its name after that."""

    async def run(_: Any, text: str, *__: object) -> list[tuple[Any, ...]]:
        return [("messages", 0)] if text == migrating._TABLES else []

    monkeypatch.setattr(migrating, "_run", run)
    await migrating._refuse_the_original(None, "k")


class Refusing:
    """A session of the driver on a node that refuses everything."""

    is_closed = False

    async def execute(self, _: object) -> None:
        raise CassErrorServerUnauthorized("you may not")

    async def close(self) -> None:
        self.is_closed = True


async def test_what_the_node_refuses_is_told_and_the_session_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = Refusing()
    monkeypatch.setattr(migrating, "connect", AsyncMock(return_value=session))
    with pytest.raises(Unavailable, match="Cassandra at somewhere:9042: you may not"):
        await migrate(Contact(["somewhere"], "k"))
    assert session.is_closed


async def test_a_node_that_is_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = AsyncMock(side_effect=CassErrorLibNoHostsAvailable("connection refused"))
    monkeypatch.setattr(migrating, "connect", nobody)
    with pytest.raises(Unavailable, match="does not answer"):
        await migrate(Contact(["nowhere"], "k"))
