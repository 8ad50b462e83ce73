"""What the commands that run one service of a cluster have in common."""

import importlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click
import uvloop

from chat4all.domain.errors import StartRefused
from chat4all.logs import configure_logging
from chat4all.operations.installation import settings_from
from chat4all.settings import Settings

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
    """Run a gateway, router or metadata service; exit with 1 when it ends by itself."""
    given = {option: value for option, value in options.items() if option != "reloads"}
    settings = settings_from(**given)
    configure_logging(settings.log_level)
    if options["reloads"]:
        from chat4all.operations.reloading import run_reloading  # noqa: PLC0415

        run_reloading(name, given)
    elif not run_until_told(service(name, settings)):
        sys.exit(1)


def service(name: str, settings: Settings) -> Coroutine[Any, Any, bool]:
    """Return a service of a cluster, which is given its own part of the settings."""
    serve = getattr(load_cluster_module("chat4all.processes.cluster"), f"serve_{name}")
    running: Coroutine[Any, Any, bool] = serve(getattr(settings, name))
    return running


def run_until_told(service: Coroutine[Any, Any, bool]) -> bool:
    """Run a service; return whether it ended because it was told to."""
    # A thread that comes back from the disk waits this long for a busy event loop to let go of
    # the interpreter; the default of 5 ms would be most of the time that a 202 takes.
    sys.setswitchinterval(0.0005)
    return uvloop.run(service)


def load_cluster_module(name: str) -> Any:
    """Return a module that needs the drivers of the extra `chat4all[cluster]`.

    Raises `StartRefused` where they are not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise StartRefused(f"{error.name} is not installed: install chat4all[cluster]") from None
