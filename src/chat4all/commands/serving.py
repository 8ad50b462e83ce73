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
    """Give a command `--host` and its port's option."""

    def add(command: F) -> F:
        with_port = click.option(port, type=int, help="The port to listen on.")(command)
        return click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")(with_port)

    return add


def run_service(name: str, options: dict[str, object]) -> None:
    """Run a service of `chat4all.cluster`; exit with 1 when it ended by itself."""
    settings = settings_from(**options)
    configure_logging(settings.log_level)
    if not run_until_told(getattr(load_cluster(), name)(settings)):
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
