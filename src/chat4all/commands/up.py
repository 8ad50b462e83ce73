"""`chat4all up`."""

import sys

import click
import uvloop

from chat4all.commands.given import server_options, settings_from
from chat4all.logs import configure_logging
from chat4all.processes import serve_one_machine


@click.command()
@server_options
@click.option(
    "--no-demo", "demo", flag_value=False, default=None, help="No demonstration accounts."
)
def up(**options: object) -> None:
    """Start everything on this machine: gateway, router and metadata service in one process.

    Every option can also be set by an environment variable: --metadata-port by
    CHAT4ALL_METADATA_PORT, and so on.
    """
    settings = settings_from(**options)
    configure_logging(settings.log_level)
    # A thread that comes back from the disk waits this long for a busy event loop to let go of
    # the interpreter; the default of 5 ms would be most of the time that a 202 takes.
    sys.setswitchinterval(0.0005)
    uvloop.run(serve_one_machine(settings))
