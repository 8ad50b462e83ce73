"""`chat4all gateway`."""

import click

from chat4all.operations.service_commands import run_service, service_options


@click.command()
@service_options("port", 8000)
def gateway(**options: object) -> None:
    """Run a gateway of a cluster: HTTP for clients, on Kafka and Cassandra.

    Every setting is an environment variable; docs/operations/settings.md has them all.
    """
    run_service("gateway", options)
