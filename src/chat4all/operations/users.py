"""Opening the users of an installation, one machine or cluster, for an operator's command."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from chat4all.adapters.sql import (
    Database,
    SqlAudit,
    SqlCreations,
    SqlDirectory,
    SqlFiles,
    SqlGroups,
    SqlMemberships,
    SqlSessions,
    SqlUsers,
)
from chat4all.adapters.sql.schema import NEWEST, revision
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import CommandRefused, InvalidInput, Refused
from chat4all.logs import quieten_libraries
from chat4all.operations.installation import (
    existing_folder,
    is_of_cluster,
    settings_from,
    tell_unknown_names,
)
from chat4all.operations.running import cluster_extra
from chat4all.operations.written import InCluster, InFolder, Written


class OpenedUsers(NamedTuple):
    """The users and groups of an opened installation, and the audit that records changes.

    `written` is what users wrote, which is read from another store.
    """

    users: SqlUsers
    audit: SqlAudit
    creations: SqlCreations
    directory: SqlDirectory
    groups: SqlGroups
    memberships: SqlMemberships
    sessions: SqlSessions
    files: SqlFiles
    written: Written


def with_users(
    action: Callable[[OpenedUsers], Awaitable[None]], data: Path | None, *, cluster: bool
) -> None:
    """Do something with the users of an installation; a refusal becomes `CommandRefused`.

    Raises `Unavailable` when the database of a cluster does not answer.
    """

    async def run() -> None:
        async with _opened(data, cluster) as opened:
            await action(opened)

    try:
        asyncio.run(run())
    except InvalidInput as error:
        first = error.errors[0]
        raise CommandRefused(f"{first.pointer.removeprefix('/')}: {first.detail}") from None
    except Refused as error:
        raise CommandRefused(str(error)) from None


@asynccontextmanager
async def _opened(data: Path | None, cluster: bool) -> AsyncIterator[OpenedUsers]:
    settings = settings_from(data=data)
    tell_unknown_names()
    if is_of_cluster(settings, requested=cluster, data=data):
        quieten_libraries()
        with cluster_extra():
            from chat4all.operations.cluster import ready_database  # noqa: PLC0415
        async with ready_database(settings.metadata.database_url) as server:
            yield _users_of(server, InCluster(settings.cassandra))
        return
    file = existing_folder(data) / "metadata.db"
    database = Database(file)
    try:
        if not file.is_file() or await database.read(revision) != NEWEST:
            raise CommandRefused(
                f"{file} is another release's: start this release of Chat4All with it once"
            )
        yield _users_of(database, InFolder(file.parent))
    finally:
        await database.close()


def _users_of(database: Transactions, written: Written) -> OpenedUsers:
    return OpenedUsers(
        SqlUsers(database),
        SqlAudit(database),
        SqlCreations(database),
        SqlDirectory(database),
        SqlGroups(database),
        SqlMemberships(database),
        SqlSessions(database),
        SqlFiles(database),
        written,
    )
