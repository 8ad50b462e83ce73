"""Creations that had an `Idempotency-Key`: kept in the transaction that creates, for a day.

One that was not trimmed yet counts, however old it seems: a clock may be ahead for a moment.
"""

import time

import msgspec
from sqlalchemy import BigInteger, Connection, and_, bindparam, delete, insert, select

from chat4all.adapters.sql.outbox import Now, now_ms
from chat4all.adapters.sql.steady_clock import SteadyClock
from chat4all.adapters.sql.tables import creations
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.creations import KEPT_SECONDS, CreationKey, KeptCreation
from chat4all.domain.ids import Username

TRIM_MAX = 1_000

_OLDEST = Now() - bindparam("kept", type_=BigInteger)
_ITS_KEY = and_(creations.c.scope == bindparam("of"), creations.c.key == bindparam("under"))
_FIND = select(creations.c.request_hash, creations.c.created).where(_ITS_KEY)
_KEEP = insert(creations).values(at=Now())
_FORGET = delete(creations).where(creations.c.scope == bindparam("of"))
_TRIM = delete(creations).where(
    creations.c.key.in_(select(creations.c.key).where(creations.c.at < _OLDEST).limit(TRIM_MAX)),
    creations.c.at < _OLDEST,
)

_KEPT = {"kept": KEPT_SECONDS * 1000}


def keep_creation(connection: Connection, key: CreationKey | None, created: object) -> None:
    """Keep what the current transaction creates; `IntegrityError` if the key is in use."""
    if key is None:
        return
    connection.execute(
        _KEEP,
        {
            "scope": key.scope,
            "key": key.key,
            "request_hash": key.request_hash,
            "created": msgspec.json.encode(created).decode(),
        },
    )


def forget_creations(connection: Connection, scope: Username) -> None:
    """Delete what is kept of an erased user's creations, in the current transaction."""
    connection.execute(_FORGET, {"of": scope})


def is_kept(connection: Connection, key: CreationKey | None) -> bool:
    """Say whether something is kept under this key."""
    return key is not None and find_creation(connection, key.scope, key.key) is not None


def find_creation(connection: Connection, scope: Username, key: str) -> KeptCreation | None:
    """Return the creation that is kept under a key, if there is one."""
    row = connection.execute(_FIND, {"of": scope, "under": key}).first()
    return None if row is None else KeptCreation(row.request_hash, row.created)


class SqlCreations:
    """The port `ports.creations.Creations`."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._clock = SteadyClock()
        self._clock.is_steady(time.time())

    async def find(self, scope: Username, key: str) -> KeptCreation | None:
        """Return the creation that is kept under a key; see `ports.creations`."""
        return await self._database.read(lambda connection: find_creation(connection, scope, key))

    async def trim(self) -> int:
        """Drop some of those that are too old, and return how many; none after a clock jumped."""

        def trim(connection: Connection) -> int:
            if not self._clock.is_steady(now_ms(connection) / 1000):
                return 0
            return connection.execute(_TRIM, _KEPT).rowcount

        return await self._database.write(trim)
