"""`chat4all up`."""

import sys

import click

from chat4all.operations.options import server_options
from chat4all.operations.starting import starting
from chat4all.processes.router_process import RouterProcess


@click.command()
@server_options
@click.option(
    "--no-demo",
    "demo",
    flag_value=False,
    default=None,
    help="No demonstration accounts.  [env var: CHAT4ALL_DEMO=false; default: they are made]",
)
def up(**options: object) -> None:
    """Start everything on this machine: gateway, router and metadata service.

    Every other setting is an environment variable; docs/operations/settings.md has them all.
    """
    # Forked while this process is still small and has no threads.
    with starting(), RouterProcess() as router:
        was_stopped = _serve(router, options)
    if not was_stopped:
        sys.exit(1)


def _serve(router: RouterProcess, options: dict[str, object]) -> bool:
    # Imported here, because modules loaded before the fork are in both processes.
    from chat4all.operations.installation import settings_from, start_logging  # noqa: PLC0415
    from chat4all.operations.running import run_until_stopped  # noqa: PLC0415
    from chat4all.processes.one_machine import serve_one_machine  # noqa: PLC0415

    settings = settings_from(**options)
    start_logging(settings)
    return run_until_stopped(serve_one_machine(settings.one_machine, router))
