"""Users, conversations and sessions as each kind of process has them.

One machine has them in a file of its own, a metadata service in its database, and a gateway of a
cluster asks the metadata service.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chat4all.adapters.caching import OutboxFollower, cached_people
from chat4all.adapters.installation import begin, marker_of, private_files_of
from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.private_files import lock_folder, tighten
from chat4all.adapters.sql import (
    Database,
    SqlFiles,
    SqlMemberships,
    SqlOutbox,
    SqlTrimming,
    sql_people,
    upgrade,
)
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sqlite_files import watching
from chat4all.concurrency.periodic import periodically
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.domain.errors import StartRefused
from chat4all.ports.health import Ping
from chat4all.ports.outbox import OutboxTrimming
from chat4all.ports.people import PeoplePorts
from chat4all.processes.keys import check_credential, proofs
from chat4all.processes.parts import InternalPorts
from chat4all.settings import GatewaySettings, MetadataSettings

TRIM_EVERY_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeopleInFile:
    """Users, conversations and sessions, cached while `follower` follows the `outbox`."""

    people: PeoplePorts
    follower: OutboxFollower
    ping: Ping
    outbox: OutboxTrimming
    """To be trimmed."""

    newest_ms: int
    """When somebody last joined a conversation."""

    has_files: bool
    """Whether users have uploaded files."""


@dataclass(frozen=True, slots=True)
class PeopleOfService:
    """Users, conversations and sessions, cached while `follower` follows the service's outbox."""

    people: PeoplePorts
    follower: OutboxFollower
    ping: Ping
    same_secret: Ping
    """Raises `Degraded` when the service that is asked has another `SECRET_KEY`."""


FIRST_POLL = Backoff(first=0.05, most=0.5, tries=4)


@dataclass(frozen=True, slots=True)
class OwnPeople:
    """Users, conversations and sessions in this process's database, for gateways to ask for."""

    people: PeoplePorts
    internal: InternalPorts
    ping: Ping


@asynccontextmanager
async def people_in_file(
    path: Path, present: PresentFiles, order_ms: Callable[[], int]
) -> AsyncIterator[PeopleInFile]:
    """Open a file that only this process serves; it gets its tables here.

    `order_ms` returns the time at which somebody joins a conversation.
    """
    database = Database(path, present=present)
    try:
        await upgrade(database)
        outbox = SqlOutbox(database)
        # What other processes change, such as `chat4all users`, is found in the outbox.
        follower = OutboxFollower(outbox, "the directory")
        # So that the first requests are answered; a machine that stands still ends no start.
        await retry(follower.poll, FIRST_POLL)
        async with follower.running():
            people = cached_people(sql_people(database, order_ms=order_ms), follower)
            trimming = SqlTrimming(database)
            newest_ms = await SqlMemberships(database).newest_ms()
            has_files = await SqlFiles(database).has_any()
            ping = people.directory.ping
            yield PeopleInFile(people, follower, ping, trimming, newest_ms, has_files)
    finally:
        await database.close()


@asynccontextmanager
async def people_in_database(settings: MetadataSettings) -> AsyncIterator[OwnPeople]:
    """Open the database of `DATABASE_URL`; a server may come later, and go and come back.

    A file gets its tables here; those on a server are made by `chat4all migrate`, and missing ones
    are what `ping` complains of. Raises `StartRefused` for settings that cannot be used.
    """
    from chat4all.adapters.sql.same_database import LOOK_SECONDS, SameDatabase

    credential = check_credential(settings.credential)
    async with open_database(settings.database_url) as opened:
        database = SameDatabase(opened)
        outbox = SqlOutbox(database)
        internal = InternalPorts(credential.encode(), outbox, proofs(settings.people.keys))
        trim = partial(trim_all, SqlTrimming(database))
        async with (
            periodically("looking at the database's id", database.look, LOOK_SECONDS),
            periodically("trimming the outbox", trim, TRIM_EVERY_SECONDS),
        ):
            yield OwnPeople(sql_people(database), internal, database.ping)


@asynccontextmanager
async def people_of_service(settings: GatewaySettings) -> AsyncIterator[PeopleOfService]:
    """Follow the metadata service at `CHAT4ALL_METADATA_URL`, which may come later."""
    from chat4all.adapters.metadata_http import (
        HttpOutbox,
        MetadataService,
        SameSecret,
        http_people,
    )

    service = MetadataService(settings.metadata_url, check_credential(settings.credential))
    try:
        follower = OutboxFollower(HttpOutbox(service))
        people = cached_people(http_people(service), follower)
        proof = proofs(settings.people.keys)[0]
        same_secret = SameSecret(service, settings.metadata_url, proof)
        async with follower.running():
            yield PeopleOfService(people, follower, follower.ping, same_secret.ping)
    finally:
        await service.close()


@asynccontextmanager
async def open_database(url: str | None) -> AsyncIterator[Transactions]:
    """Open the database of `DATABASE_URL`; see `people_in_database`."""
    from chat4all.adapters.sql.server import ServerDatabase
    from chat4all.adapters.sql.urls import parse_database_url

    if url is None:
        raise StartRefused("DATABASE_URL is missing: cockroachdb://user@host:26257/database")
    where = parse_database_url(url)
    async with AsyncExitStack() as stack:
        if isinstance(where, Path):
            present = PresentFiles()
            database: Database | ServerDatabase = Database(where, present=present)
        else:
            database = ServerDatabase(where)
        stack.push_async_callback(database.close)
        if isinstance(database, Database):
            stack.enter_context(await _open_file(database, present))
        yield database


async def _open_file(database: Database, present: PresentFiles) -> AbstractContextManager[None]:
    """Give a file its tables and its id, or compare that with the marker beside it.

    Returns what watches both.
    """
    file = database.path
    marker = marker_of(file)
    try:
        locked = await asyncio.to_thread(lock_folder, file.parent)
    except OSError as error:
        raise StartRefused(f"{file} cannot be used ({error.strerror}): see DATABASE_URL") from error
    with locked:
        _close_to_others(private_files_of(file))
        installation = begin(marker, (file,))
        await upgrade(database)
        installation.complete()
    return watching(present, (file,), (marker,))


def _close_to_others(files: Sequence[Path]) -> None:
    """Files that SQLite makes beside a database later have its mode."""
    for file in files:
        try:
            closed = tighten(file)
        except OSError:
            closed = False
        if not closed:
            _log.warning(
                "others may read a file of the database: make it yours alone",
                extra={"file": str(file)},
            )


async def trim_all(outbox: OutboxTrimming) -> None:
    """Drop all entries that are too old, some at a time."""
    while await outbox.trim():
        pass
