"""PostgreSQL or CockroachDB behind an event loop, by SQLAlchemy's async engine and asyncpg.

Not for one machine, which loads neither greenlet nor asyncpg: import it only where it is used.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chat4all.adapters.network_errors import reason_of
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import (
    FieldError,
    InvalidInput,
    OutcomeUnknown,
    Unavailable,
)

T = TypeVar("T")

CONNECTIONS = 10
"""Open connections of one process."""

WAITING_MAX = 1_000
"""Calls that may be in progress; one more is refused at once."""

CALL_SECONDS = 4.0
"""The deadline of a call with all its retries; see also `LONGEST_SECONDS`."""

LONGEST_SECONDS = 3 * CALL_SECONDS
"""From a transaction's beginning to the latest moment at which it can take effect.

The client sends nothing after `CALL_SECONDS`; the server ends the transaction once it was idle for
as long again, or is executing its last statement, which takes as long at most.
"""

CONNECT_SECONDS = 2.0
TRIES = 8
WAIT_FIRST_SECONDS = 0.02
WAIT_MAX_SECONDS = 0.5
RECYCLE_SECONDS = 600
"""After which a connection is reopened, so that new nodes get their share."""

PUBLIC = "the directory's database is unavailable"
"""The text that clients get."""

_DEFINITE = ("40001", "40P01")
"""Serialization failure, deadlock: rolled back, whatever the last statement was."""

_CONNECTION_LOST = ("57P01", "57P02", "57P03", "53300", "40003")
"""Shut down, crashed, starting, too many connections, CockroachDB's "result is ambiguous"."""


class ServerDatabase:
    """A database on a server: short functions of a `sqlalchemy.Connection`; see `Transactions`.

    The same functions run on SQLite in threads: here SQLAlchemy runs them on the event loop
    (`run_sync`), at SERIALIZABLE. A transaction that was rolled back (SQLSTATE 40001), or lost its
    connection, is retried, `TRIES` times within `CALL_SECONDS`, after growing random waits. A call
    continues to its end when its caller is cancelled or has timed out.

    `OutcomeUnknown` when the connection was lost at a commit and no retry could find the outcome.
    `InvalidInput` for a value that the server cannot hold, such as NUL in a text.
    """

    def __init__(self, url: ServerUrl, *, connections: int = CONNECTIONS) -> None:
        self._name = url.without_password
        self._engine = make_engine(
            url,
            statement_seconds=CALL_SECONDS,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=CALL_SECONDS,
            pool_recycle=RECYCLE_SECONDS,
            isolation_level="SERIALIZABLE",
        )
        self._reading = self._engine.execution_options(postgresql_readonly=True)
        self._waiting = BoundedWaiting(
            WAITING_MAX, CALL_SECONDS, f"calls wait for {url.without_password}"
        )

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, against one state of the database."""
        return await self._run(_Call(self._reading, work, writes=False))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own; return once that is durable."""
        return await self._run(_Call(self._engine, work, writes=True))

    async def close(self) -> None:
        """Finish running calls and close every connection."""
        await self._waiting.all_ended()
        await self._engine.dispose()

    async def _run(self, call: "_Call[T]") -> T:
        try:
            # Closing a connection may take a while longer; the caller need not wait for it.
            return await self._waiting.outlasting(partial(self._attempts, call))
        except TimeoutError:
            call.give_up()
            raise call.failure(self._no_answer("no answer in time")) from None

    async def _attempts(self, call: "_Call[T]") -> T:
        backoff = Backoff(WAIT_FIRST_SECONDS, WAIT_MAX_SECONDS, TRIES, jitter=1.0)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await retry(call.attempt, backoff, is_temporary=_is_worth_another_try)
        except IntegrityError:
            raise
        except TimeoutError as error:  # an OSError too, when it was connecting that took so long
            raise call.failure(self._no_answer("no answer in time")) from error
        except (DBAPIError, OSError, NoConnectionFree) as error:
            if (_sqlstate(error) or "").startswith("22"):
                raise InvalidInput(
                    [FieldError("", "a value is too long, or has characters that cannot be kept")]
                ) from None
            inner = error.orig if isinstance(error, DBAPIError) else error
            if isinstance(error, OSError):
                raise call.failure(self._no_answer(reason_of(error))) from error
            raise call.failure(f"{self._name}: {inner}") from error

    def _no_answer(self, reason: str) -> str:
        return no_answer(self._name, reason)


class _Call(Generic[T]):
    """One call: its attempts, and whether one of them may have been committed."""

    def __init__(
        self, engine: AsyncEngine, work: Callable[[Connection], T], *, writes: bool
    ) -> None:
        self._engine = engine
        self._work = work
        self._writes = writes
        self._may_be_done = False
        self._given_up = False

    def give_up(self) -> None:
        """Commit nothing from now on: the caller is told what may have been done until here."""
        self._given_up = True

    async def attempt(self) -> T:
        """Run the transaction once."""
        before = self._may_be_done
        async with self._engine.connect() as connection:
            try:
                async with connection.begin():
                    value = await connection.run_sync(self._work)
                    if self._given_up:
                        raise Unavailable("the caller has given up")
                    self._may_be_done = self._writes
            except DBAPIError as error:
                if isinstance(error, IntegrityError) or _sqlstate(error) in _DEFINITE:
                    self._may_be_done = before
                raise
        return value

    def failure(self, detail: str) -> Unavailable:
        """Return the error for the caller."""
        return (OutcomeUnknown if self._may_be_done else Unavailable)(detail, PUBLIC)


def make_engine(url: ServerUrl, *, statement_seconds: float, **options: Any) -> AsyncEngine:
    """Return an engine; the server bounds statements and pauses to `statement_seconds`."""
    milliseconds = str(int(statement_seconds * 1000))

    async def connect() -> asyncpg.Connection:
        # asyncpg knows libpq's options (sslmode, sslrootcert, several hosts); SQLAlchemy does not.
        return await asyncpg.connect(
            url.dsn,
            timeout=CONNECT_SECONDS,
            server_settings={
                "application_name": "chat4all",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
            },
        )

    return create_async_engine(
        f"{url.dialect}+asyncpg://",
        async_creator=connect,
        hide_parameters=True,  # the error's text is logged, users' data must not be
        **options,
    )


def no_answer(server: str, reason: str) -> str:
    """Return the sentence about a server that cannot be reached."""
    return f"{server} does not answer ({reason}): start it, or set DATABASE_URL to where it is"


def _is_worth_another_try(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        # Refused, reset, or no answer while connecting. No free connection has waited long enough.
        return isinstance(error, OSError)
    state = _sqlstate(error) or ""
    return (
        error.connection_invalidated
        or state in _DEFINITE + _CONNECTION_LOST
        or state.startswith("08")
    )


def _sqlstate(error: Exception) -> str | None:
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None)
    return getattr(error, "sqlstate", None)
