"""`chat4all migrate`."""

import asyncio

import click

from chat4all.logs import configure_logging
from chat4all.operations.installation import settings_from, tell_unknown_names
from chat4all.operations.running import cluster_extra


@click.command()
def migrate() -> None:
    """Make topics, keyspace, tables and bucket of a cluster, or bring them to this release.

    Again changes nothing, and two at once are no harm. The bucket is made where CHAT4ALL_S3_… is
    set, and it is not there yet.
    """
    settings = settings_from()
    tell_unknown_names()
    configure_logging(settings.log_level)
    with cluster_extra():
        from chat4all.operations.migrating import migrate_cluster  # noqa: PLC0415
    asyncio.run(migrate_cluster(settings.migration))
    click.echo("Everything is there.")
