"""The command `chat4all`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chat4all import __version__
from chat4all.commands.bench import bench
from chat4all.domain.errors import StartRefused

if TYPE_CHECKING:
    from chat4all.router_process import RouterProcess


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chat4all")
def main() -> None:
    """Chat4All: a messaging backend that loses, doubles and reorders nothing."""


main.add_command(bench)


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="The gateway's port.  [default: 8000]")
@click.option("--metadata-port", type=int, help="The metadata service's port.  [default: 8001]")
@click.option("--data", type=Path, help="Folder for all data.  [default: ./chat4all-data]")
@click.option(
    "--no-demo", "demo", flag_value=False, default=None, help="No demonstration accounts."
)
def up(**options: object) -> None:
    """Start everything on this machine: gateway, router and metadata service.

    Every option can also be set by an environment variable: --metadata-port by
    CHAT4ALL_METADATA_PORT, and so on.
    """
    # Imported here: `chat4all --help` need not wait for all of it.
    from chat4all.router_process import RouterProcess  # noqa: PLC0415

    try:
        # Forked while this process is still small and has no threads.
        with RouterProcess() as router:
            asked = _serve(router, {k: v for k, v in options.items() if v is not None})
    except* StartRefused as refused:
        click.echo(f"chat4all: {_first(refused)}", err=True)
        sys.exit(1)
    if not asked:
        sys.exit(1)


def _serve(router: "RouterProcess", given: dict[str, object]) -> bool:
    import uvloop  # noqa: PLC0415

    from chat4all.logs import configure_logging  # noqa: PLC0415
    from chat4all.processes import serve_one_machine  # noqa: PLC0415
    from chat4all.settings import load_settings  # noqa: PLC0415

    settings = load_settings(**given)
    configure_logging(settings.log_level)
    # A thread that comes back from the disk waits this long for a busy event loop to let go of
    # the interpreter; the default of 5 ms would be most of the time that a 202 takes.
    sys.setswitchinterval(0.0005)
    return uvloop.run(serve_one_machine(settings, router))


def _first(group: BaseExceptionGroup[StartRefused]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
