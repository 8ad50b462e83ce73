"""The driver's session behind an event loop: answers become futures, a batch at a time."""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from cassandra import ConsistencyLevel, DriverException, InvalidRequest
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    Session,
)
from cassandra.connection import ConnectionException
from cassandra.policies import (
    ConstantReconnectionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.pool import NoConnectionsAvailable
from cassandra.query import BatchStatement, BatchType, PreparedStatement, tuple_factory

from chat4all.domain.errors import Overloaded, Unavailable

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, Sequence[object]]
"""A statement of CQL with its values."""

REQUEST_SECONDS = 5.0
"""How long one request may take before it is given up; whoever asked tries again."""

CONNECT_SECONDS = 3.0

IN_FLIGHT_MAX = 128
"""Requests that are under way at once. More do not make a node faster."""

WAITING_MAX = 5_000
"""Requests that may wait for their turn, those under way included; one more is refused."""

RECONNECT_SECONDS = 1.0

_TABLE = re.compile(r"\b(FROM|INTO|UPDATE) (\w+)")

DRIVER_ERRORS = (DriverException, NoHostAvailable, NoConnectionsAvailable, ConnectionException)


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a cluster can be asked, and the keyspace that is ours."""

    hosts: Sequence[str]
    keyspace: str
    port: int = 9042


def connect(contact: Contact, request_seconds: float = REQUEST_SECONDS) -> tuple[Cluster, Session]:
    """Connect (blocking). Any of `DRIVER_ERRORS` when nobody answers.

    Nothing is tried again by the driver: what a time-out means is the caller's to know.
    """
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy()),
        retry_policy=FallthroughRetryPolicy(),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=request_seconds,
        row_factory=tuple_factory,
    )
    cluster = Cluster(
        list(contact.hosts),
        port=contact.port,
        protocol_version=4,
        compression=False,
        # Half the throughput without it: the driver leaves Nagle's algorithm on.
        sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        connect_timeout=CONNECT_SECONDS,
        reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    )
    try:
        session = cluster.connect()
    except BaseException:
        cluster.shutdown()
        raise
    session.default_fetch_size = None
    # A write's time is a matter of what is written, or else of the coordinator.
    session.use_client_timestamp = False
    return cluster, session


class CassandraSession:
    """Runs statements, prepared once, with a bound on how many are under way.

    It connects when it is first needed and as often as that fails, so that Cassandra may come
    later; once connected, the driver connects again by itself.
    """

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._under_way: dict[str, asyncio.Task[Any]] = {}
        self._cluster: Cluster | None = None
        self._prepared: dict[str, PreparedStatement] = {}
        self._slots = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._waiting = 0
        self._lock = threading.Lock()
        self._arrived: list[tuple[asyncio.Future[list[Row]], Any, BaseException | None]] = []

    async def run(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a statement.

        Raises `Unavailable` when no answer came in time; a write may have been done all the same.
        """
        prepared = await self._prepare(statement)
        return await self._execute(lambda: prepared.bind(values))

    async def batch(self, statements: Sequence[Statement]) -> None:
        """Run statements that all write to one partition: together or not at all."""
        if len(statements) == 1:
            await self.run(*statements[0])
            return
        for statement in {statement for statement, _ in statements}:
            await self._prepare(statement)

        def bind() -> BatchStatement:
            batch = BatchStatement(BatchType.UNLOGGED)
            for statement, values in statements:
                batch.add(self._prepared[statement].bind(values))
            return batch

        await self._execute(bind)

    async def close(self) -> None:
        """Close the connections, also one that is only being made."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        if self._cluster is not None:
            await asyncio.to_thread(self._cluster.shutdown)

    async def _prepare(self, statement: str) -> PreparedStatement:
        if (known := self._prepared.get(statement)) is not None:
            return known
        if self._cluster is None:
            await self._once("connect", self._connect)
        found = await self._once(statement, lambda: self._prepare_now(statement))
        self._prepared[statement] = found
        return found

    async def _once(self, name: str, work: Callable[[], T]) -> T:
        """Do something in a thread; who wants the same meanwhile gets what comes of it.

        Else, while Cassandra is away, each would wait for all before it to fail. The driver takes
        its time for this: who waits is told sooner, and the work goes on.
        """
        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.create_task(asyncio.to_thread(work))
            task.add_done_callback(lambda done: self._forget(name, done))
        await asyncio.wait({task}, timeout=REQUEST_SECONDS)
        if not task.done():
            raise Unavailable("Cassandra: no answer in time")
        with _said():
            result: T = task.result()
        return result

    def _forget(self, name: str, done: asyncio.Task[Any]) -> None:
        del self._under_way[name]
        done.exception()  # it was raised where it was waited for, or nobody waits any more

    def _connect(self) -> None:
        cluster, self._session = connect(self._contact)
        self._cluster = cluster

    def _prepare_now(self, statement: str) -> PreparedStatement:
        # Cassandra warns of prepared statements that rest on the session's keyspace.
        qualified = _TABLE.sub(rf'\1 "{self._contact.keyspace}".\2', statement)
        try:
            return self._session.prepare(qualified)
        except InvalidRequest as error:
            # Its statements are all known to be good: it is the table that is not there.
            raise Unavailable(
                f"Cassandra: keyspace {self._contact.keyspace} is not as this release needs it "
                f"({error.args[0]}): run `chat4all migrate`"
            ) from error

    async def _execute(self, bind: Callable[[], Any]) -> list[Row]:
        if self._waiting >= WAITING_MAX:
            raise Overloaded("too many requests wait for Cassandra")
        self._waiting += 1
        try:
            async with self._slots:
                self._loop = asyncio.get_running_loop()
                done: asyncio.Future[list[Row]] = self._loop.create_future()
                with _said():
                    asked = self._session.execute_async(bind())
                    asked.add_callbacks(
                        lambda rows: self._arrive(done, rows, None),
                        lambda error: self._arrive(done, None, error),
                    )
                    return await done
        finally:
            self._waiting -= 1

    def _arrive(
        self, done: "asyncio.Future[list[Row]]", rows: Any, error: BaseException | None
    ) -> None:
        """Take an answer (in the driver's thread): one wake-up of the loop for all that come."""
        with self._lock:
            self._arrived.append((done, rows, error))
            if len(self._arrived) > 1:
                return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for done, rows, error in arrived:
            if done.done():
                continue
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(rows or [])


@contextlib.contextmanager
def _said() -> Any:
    try:
        yield
    except DRIVER_ERRORS as error:
        raise Unavailable(f"Cassandra: {error}") from error


async def together(steps: Iterable[Awaitable[T]]) -> list[T]:
    """Do all at once and return what they return; when all have ended, raise the first error."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    found: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found
