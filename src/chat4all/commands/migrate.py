"""`chat4all migrate`."""

import asyncio

import click

from chat4all.commands.given import settings_from
from chat4all.commands.serving import load_cluster
from chat4all.logs import configure_logging


@click.command()
def migrate() -> None:
    """Make topics, keyspace and tables of a cluster, or bring them to this release.

    Again changes nothing, and two at once are no harm.
    """
    settings = settings_from()
    configure_logging(settings.log_level)
    asyncio.run(load_cluster().migrate(settings))
    click.echo("Everything is there.")
