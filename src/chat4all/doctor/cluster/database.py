"""The check of the metadata service's database."""

from collections.abc import AsyncIterator
from pathlib import Path

from chat4all.adapters.installation import private_files_of
from chat4all.adapters.private_files import is_open_to_others
from chat4all.adapters.sql import Database
from chat4all.adapters.sql.server import ServerDatabase
from chat4all.adapters.sql.server_schema import check_revision
from chat4all.adapters.sql.urls import parse_database_url
from chat4all.doctor.cluster.installation import Cluster
from chat4all.doctor.findings import Finding, Status


async def database(cluster: Cluster) -> AsyncIterator[Finding]:
    """Check that the metadata service's database answers and has its tables."""
    if cluster.settings.database_url is None:
        return
    url = parse_database_url(cluster.settings.database_url.get_secret_value())
    if isinstance(url, Path) and not url.exists():
        yield Finding(Status.WARNING, f"{url} is not there yet", "the metadata service makes it")
        return
    if isinstance(url, Path):
        for file in private_files_of(url):
            if is_open_to_others(file):
                yield Finding(
                    Status.PROBLEM,
                    f"{file} can be read by other users",
                    f"`chmod 600 {file}`; passwords' hashes may be known",
                )
    database = Database(url) if isinstance(url, Path) else ServerDatabase(url)
    try:
        await check_revision(database)
    finally:
        await database.close()
    name = url if isinstance(url, Path) else url.without_password
    yield Finding(Status.OK, f"{name} is up to date")
