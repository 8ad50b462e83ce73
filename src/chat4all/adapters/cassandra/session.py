"""The driver's session: prepared statements, bounds on requests in flight, readable errors."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import acsylla
from acsylla.errors import (
    CassErrorLibHostResolution,
    CassErrorLibNoHostsAvailable,
    CassErrorLibRequestTimedOut,
    CassErrorLibUnableToConnect,
    CassErrorServerInvalidQuery,
    CassException,
)

from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import NotAccepted, Unavailable

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, Sequence[object]]
"""A statement of CQL with its values."""

REQUEST_SECONDS = 5.0
"""The deadline of a request, its wait for a slot included."""

CONNECT_SECONDS = 3.0

IN_FLIGHT_MAX = 128
"""Requests in flight at once. More do not make a node faster."""

WAITING_MAX = 5_000
"""Requests that may wait for a slot, those in flight included; one more is refused."""

RECONNECT_SECONDS = 1.0

ANEW_SECONDS = 5.0
"""After so long without any answer the names of the hosts are resolved again."""

_TABLE = re.compile(r"\b(FROM|INTO|UPDATE) (\w+)\b(?!\.)")

# Other invalid queries are of tables that are missing, which an operator can mend.
_TOO_LARGE = re.compile("oversized|too large|larger than", re.IGNORECASE)

_NO_ANSWER = (
    CassErrorLibHostResolution,
    CassErrorLibNoHostsAvailable,
    CassErrorLibRequestTimedOut,
    CassErrorLibUnableToConnect,
)

PUBLIC = "the message store (Cassandra) is unavailable"
"""The text that clients get."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a cluster is, and our keyspace."""

    hosts: Sequence[str]
    keyspace: str
    port: int = 9042


async def connect(contact: Contact, request_seconds: float = REQUEST_SECONDS) -> Any:
    """Return a session of the driver. `CassException` when no node answers.

    The driver retries nothing: the caller decides what a time-out means.
    """
    cluster = acsylla.create_cluster(
        list(contact.hosts),
        port=contact.port,
        protocol_version=4,
        consistency=acsylla.Consistency.LOCAL_QUORUM,
        serial_consistency=acsylla.Consistency.LOCAL_SERIAL,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=request_seconds,
        retry_policy="fallthrough",
        application_name="chat4all",
        # While a node is unavailable the driver would log every try; `http.health.watched` logs it
        # once.
        log_level="critical",
    )
    # As an argument above it would be overridden by a delay that grows up to a minute.
    cluster.set_constant_reconnect(int(RECONNECT_SECONDS * 1000))
    return await cluster.create_session()


class CassandraSession:
    """Runs statements, each prepared once, with a bound on how many are in flight.

    It connects when first needed, and again after each failure, so that Cassandra may start later;
    once connected, the driver reconnects by itself to the addresses that it knows. When nothing has
    answered for `ANEW_SECONDS`, it connects anew as well, which resolves the names again: in
    containers a node comes back under another address.
    """

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._under_way: dict[str, asyncio.Task[Any]] = {}
        self._connection: _Connection | None = None
        self._ending = asyncio.Event()
        self._unanswered_since: float | None = None
        """Since when requests were sent and none was answered."""
        self._waiting = BoundedWaiting(
            WAITING_MAX, REQUEST_SECONDS, "requests wait for Cassandra", slots=IN_FLIGHT_MAX
        )

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a statement.

        Raises `Unavailable` when no answer came in time; a write may still have been done.
        """
        connection, spent = await self._prepare(statement)
        prepared = connection.prepared[statement]

        def ask(seconds: float) -> Awaitable[Any]:
            statement = _bound(prepared, values)
            if seconds < REQUEST_SECONDS:
                statement.set_timeout(seconds)
            return connection.session.execute(statement)  # type: ignore[no-any-return]

        result = await self._execute(ask, spent)
        return [row.as_tuple() for row in result.all()]

    async def batch(self, statements: Sequence[Statement]) -> None:
        """Run statements in one request; those of one partition are written together or not at all.

        Raises `Unavailable` when no answer came in time; any of it may still have been done.
        """
        if len(statements) == 1:
            await self.run(*statements[0])
            return
        connection, spent = await self._prepare(*{statement for statement, _ in statements})

        def ask(seconds: float) -> Awaitable[Any]:
            batch = acsylla.create_batch_unlogged(timeout=seconds)
            for statement, values in statements:
                batch.add_statement(_bound(connection.prepared[statement], values))
            return connection.session.execute_batch(batch)  # type: ignore[no-any-return]

        await self._execute(ask, spent)

    async def close(self) -> None:
        """Close the connections, also one that is being made."""
        self._ending.set()
        while self._under_way:
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        if self._connection is not None:
            await self._connection.session.close()

    async def _prepare(self, *statements: str) -> "tuple[_Connection, float]":
        """Prepare those that are not yet; return the seconds that this took of the request's."""
        connection = self._connection
        if connection is not None and all(map(connection.prepared.__contains__, statements)):
            return connection, 0.0
        began = time.monotonic()
        if connection is None:
            connection = await self._once("connect", self._connect, began)
        for statement in statements:
            if statement not in connection.prepared:
                prepare = partial(self._prepare_now, connection, statement)
                connection.prepared[statement] = await self._once(
                    f"{id(connection)} {statement}", prepare, began
                )
        return connection, time.monotonic() - began

    async def _once(self, name: str, work: Callable[[], Coroutine[Any, Any, T]], began: float) -> T:
        """Do something once for all callers that need it meanwhile.

        The driver may take longer than a request that `began` then may: its caller times out, and
        the work continues.
        """
        self._note_asking()
        task = self._start(name, work)
        await asyncio.wait({task}, timeout=max(0.0, began + REQUEST_SECONDS - time.monotonic()))
        if not task.done():
            raise self._no_answer()
        try:
            result: T = task.result()
        except CassException as error:
            raise self._failure(error) from error
        except Unavailable:
            self._unanswered_since = None  # an error is an answer too
            raise
        self._unanswered_since = None
        return result

    def _start(self, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._forget(name, done))
        return task

    def _forget(self, name: str, done: asyncio.Task[Any]) -> None:
        del self._under_way[name]
        done.exception()  # raised to its callers, or they are gone

    async def _connect(self) -> "_Connection":
        self._connection = _Connection(await connect(self._contact))
        return self._connection

    async def _connect_anew(self) -> None:
        """Take another session of the driver in the place of one that nothing answers.

        If it cannot be made, the one that there is stays: its node may come back as it was.
        """
        before = self._connection
        await self._connect()
        if before is not None:
            # Requests that wait for a slot still have it; all of them end within their time.
            with suppress(TimeoutError):
                async with asyncio.timeout(REQUEST_SECONDS):
                    await self._ending.wait()
            await before.session.close()

    def _note_asking(self) -> None:
        """Note that a request begins; connect anew when none was answered for too long."""
        now = time.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif now - self._unanswered_since >= ANEW_SECONDS and self._connection is not None:
            self._unanswered_since = now
            self._start("connect anew", self._connect_anew)

    async def _prepare_now(self, connection: "_Connection", statement: str) -> Any:
        # Cassandra warns of prepared statements that depend on the session's keyspace.
        qualified = _TABLE.sub(rf'\1 "{self._contact.keyspace}".\2', statement)
        try:
            return await connection.session.create_prepared(qualified)
        except CassErrorServerInvalidQuery as error:
            # Our statements are valid: a table or column must be missing.
            raise Unavailable(
                f"Cassandra: keyspace {self._contact.keyspace} is not as this release needs it "
                f"({error}): run `chat4all migrate`",
                PUBLIC,
            ) from error

    async def _execute(self, ask: Callable[[float], Awaitable[Any]], spent: float) -> Any:
        """Wait for a slot, then send within the seconds that are left (EXACTNESS 12a)."""
        self._note_asking()
        try:
            async with self._waiting.turn(spent) as seconds:
                result = await ask(seconds)
        except TimeoutError:
            raise self._no_answer() from None
        except CassException as error:
            raise self._failure(error) from error
        self._unanswered_since = None
        return result

    def _failure(self, error: CassException) -> NotAccepted | Unavailable:
        if not isinstance(error, _NO_ANSWER):
            self._unanswered_since = None  # an error is an answer too
        return describe(self._contact, error)

    def _no_answer(self) -> NotAccepted | Unavailable:
        return describe(self._contact, CassErrorLibRequestTimedOut("no answer"))


class _Connection:
    """A session of the driver, with the statements that were prepared in it."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.prepared: dict[str, Any] = {}


def _bound(prepared: Any, values: Sequence[object]) -> Any:
    statement = prepared.bind()
    statement.bind_list(list(values))
    return statement


def describe(contact: Contact, error: CassException) -> NotAccepted | Unavailable:
    """Describe a driver error in a sentence that says what to do."""
    if isinstance(error, CassErrorServerInvalidQuery) and _TOO_LARGE.search(str(error)):
        return NotAccepted(f"the message store (Cassandra) does not take this: {error}")
    where = ", ".join(f"{host}:{contact.port}" for host in contact.hosts)
    if isinstance(error, CassErrorLibHostResolution):
        return Unavailable(
            f"CASSANDRA_HOSTS names {', '.join(contact.hosts)}, which resolves to nothing here: "
            "set it to where Cassandra is",
            PUBLIC,
        )
    if isinstance(error, _NO_ANSWER):
        return Unavailable(
            f"Cassandra at {where} does not answer ({_reason(error)}): wait until it has started, "
            "start it, or set CASSANDRA_HOSTS and CHAT4ALL_CASSANDRA_PORT to where it is",
            PUBLIC,
        )
    return Unavailable(f"Cassandra at {where}: {error}", PUBLIC)


def _reason(error: CassException) -> str:
    """Return why a node does not answer; the same text for the same reason."""
    text = str(error)
    if "connection refused" in text:
        return "Connection refused"
    if isinstance(error, CassErrorLibRequestTimedOut) or "timed out" in text.lower():
        return "no answer in time"
    return "no connection"


async def together(steps: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all steps and return their results; raise the first error once those begun have ended.

    No more steps run at a time than there are slots, so that those of a large batch do not spend
    their deadlines in the queue. After an error no further step begins.
    """
    coroutines = list(steps)
    queue = iter(enumerate(coroutines))
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}

    async def work() -> None:
        while not errors and (following := next(queue, None)):
            number, step = following
            try:
                results[number] = await step
            except BaseException as error:
                errors[number] = error
                raise

    workers = [work() for _ in coroutines[:IN_FLIGHT_MAX]]
    try:
        await asyncio.gather(*workers, return_exceptions=True)
    finally:
        for _, step in queue:
            step.close()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(coroutines))]
