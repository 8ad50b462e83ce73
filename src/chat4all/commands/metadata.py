"""`chat4all metadata`."""

import click

from chat4all.operations.service_commands import run_service, service_options


@click.command()
@service_options("metadata_port", 8001)
def metadata(**options: object) -> None:
    """Run a metadata service of a cluster, on DATABASE_URL.

    Every setting is an environment variable; docs/operations/settings.md has them all.
    """
    run_service("metadata", options)
