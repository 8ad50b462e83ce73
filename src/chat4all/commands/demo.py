"""`chat4all demo`."""

import asyncio

import click

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql import SqlDirectory, SqlUsers
from chat4all.domain.errors import CommandRefused
from chat4all.logs import configure_logging
from chat4all.operations.installation import settings_from, tell_unknown_names
from chat4all.operations.running import cluster_extra
from chat4all.usecases.demonstrating import CHAT, PASSWORD, USERS, make_demo


@click.command()
def demo() -> None:
    """Make the demonstration accounts and their chat in a cluster that is for development.

    Again changes nothing. On one machine `chat4all up` makes them by itself.
    """
    settings = settings_from()
    tell_unknown_names()
    if settings.deployment != "development":
        raise CommandRefused(
            "everybody knows the demonstration accounts' password: set "
            "CHAT4ALL_DEPLOYMENT=development if this is a cluster for development"
        )
    configure_logging(settings.log_level)
    asyncio.run(_make(settings.metadata.database_url))
    click.echo(f"{' and '.join(USERS)}, password {PASSWORD}, are in the chat {CHAT}.")


async def _make(database_url: str | None) -> None:
    with cluster_extra():
        from chat4all.operations.cluster import ready_database  # noqa: PLC0415
    passwords = BcryptPasswords()
    try:
        async with ready_database(database_url) as database:
            await make_demo(SqlUsers(database), SqlDirectory(database), passwords)
    finally:
        passwords.close()
