"""`chat4all demo`."""

import asyncio

import click

from chat4all.commands.given import settings_from
from chat4all.commands.serving import load_cluster
from chat4all.demo import CHAT, PASSWORD, USERS
from chat4all.domain.errors import CommandRefused
from chat4all.logs import configure_logging


@click.command()
def demo() -> None:
    """Make the demonstration accounts and their chat in a cluster that is for development.

    Again changes nothing. On one machine `chat4all up` makes them by itself.
    """
    settings = settings_from()
    if settings.deployment != "development":
        raise CommandRefused(
            "everybody knows the demonstration accounts' password: set "
            "CHAT4ALL_DEPLOYMENT=development if this is a cluster for development"
        )
    configure_logging(settings.log_level)
    asyncio.run(load_cluster().make_demo(settings))
    click.echo(f"{' and '.join(USERS)}, password {PASSWORD}, are in the chat {CHAT}.")
