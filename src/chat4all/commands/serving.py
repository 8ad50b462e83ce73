"""What the commands that run one service of a cluster have in common."""

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click
import uvloop

from chat4all.commands.given import settings_from
from chat4all.domain.errors import StartRefused
from chat4all.logs import configure_logging

F = TypeVar("F", bound=Callable[..., Any])


def service_options(port: str) -> Callable[[F], F]:
    """Give a command `--host`, its port's option and `--reload`."""

    def add(command: F) -> F:
        for option in (
            click.option(
                "--reload",
                "reloads",
                is_flag=True,
                help="Start again whenever Chat4All's source changes, for development.",
            ),
            click.option(port, type=int, help="The port to listen on."),
            click.option("--host", help="Address to listen on.  [default: 127.0.0.1]"),
        ):
            command = option(command)
        return command

    return add


def run_service(name: str, options: dict[str, object]) -> None:
    """Run a service of `chat4all.cluster`; exit with 1 when it ended by itself."""
    given = {option: value for option, value in options.items() if option != "reloads"}
    settings = settings_from(**given)
    configure_logging(settings.log_level)
    if options["reloads"]:
        from chat4all.commands.reloading import run_reloading  # noqa: PLC0415

        run_reloading(name, given)
    elif not run_until_told(getattr(load_cluster(), name)(settings)):
        sys.exit(1)


def run_until_told(service: Coroutine[Any, Any, bool]) -> bool:
    """Run a service; return whether it ended because it was told to."""
    # A thread that comes back from the disk waits this long for a busy event loop to let go of
    # the interpreter; the default of 5 ms would be most of the time that a 202 takes.
    sys.setswitchinterval(0.0005)
    return uvloop.run(service)


def load_cluster() -> Any:
    """Return `chat4all.cluster`, whose drivers are in an extra."""
    try:
        from chat4all import cluster  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise StartRefused(f"{error.name} is not installed: install chat4all[cluster]") from None
    return cluster
