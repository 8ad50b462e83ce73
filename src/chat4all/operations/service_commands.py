"""Common parts of the commands that run one service of a cluster."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from chat4all.operations.installation import settings_from, start_logging
from chat4all.operations.options import host_option
from chat4all.operations.running import ServiceName, run_until_stopped, service
from chat4all.operations.starting import starting

F = TypeVar("F", bound=Callable[..., Any])


def service_options(port: str, default: int) -> Callable[[F], F]:
    """Give a command `--host`, `--port` and `--reload`.

    `port` is the setting of this service's port, and its option on other commands; `default` is
    the port that it has by default.
    """
    flag, setting = f"--{port.replace('_', '-')}", f"CHAT4ALL_{port.upper()}"
    flags = list(dict.fromkeys(("--port", flag)))

    def add(command: F) -> F:
        for option in (
            click.option(
                "--reload",
                "reloads",
                is_flag=True,
                help="Start again whenever Chat4All's source changes, for development.",
            ),
            click.option(
                *flags,
                port,
                type=int,
                help=f"The port to listen on.  [env var: {setting}; default: {default}]",
            ),
            host_option,
        ):
            command = option(command)
        return command

    return add


def run_service(name: ServiceName, options: dict[str, object]) -> None:
    """Run a gateway, router or metadata service; exit with 1 when it ends by itself."""
    settings_options = {option: value for option, value in options.items() if option != "reloads"}
    settings = settings_from(**settings_options)
    start_logging(settings)
    if options["reloads"]:
        from chat4all.operations.reloading import run_reloading  # noqa: PLC0415

        run_reloading(name, settings_options)
        return
    with starting():
        if not run_until_stopped(service(name, settings)):
            sys.exit(1)
