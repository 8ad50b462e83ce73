"""`chat4all router`."""

import click

from chat4all.operations.service_commands import run_service, service_options


@click.command()
@service_options("router_port", 8002)
def router(**options: object) -> None:
    """Run a router of a cluster: from Kafka to Cassandra, in order.

    Every setting is an environment variable; docs/operations/settings.md has them all.
    """
    run_service("router", options)
