"""Options that several commands have. Imports little: `up` forks before it loads the rest."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from chat4all.domain.errors import CommandRefused

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """Give a command the option `--data`."""
    return click.option(
        "--data",
        type=Path,
        help="Folder of all data.  [env var: CHAT4ALL_DATA; default: chat4all-data]",
    )(command)


def cluster_option(command: F) -> F:
    """Give a command the option `--cluster`."""
    return click.option(
        "--cluster",
        is_flag=True,
        help="Of a cluster, not of this machine; so it is by itself, unless --data is given, where "
        "KAFKA_BOOTSTRAP_SERVER, CASSANDRA_HOSTS, DATABASE_URL or CHAT4ALL_METADATA_URL is set.",
    )(command)


def json_option(command: F) -> F:
    """Give a command the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        command
    )


def password_line() -> str:
    """Return the first line of standard input. Raises `CommandRefused`."""
    try:
        line = sys.stdin.buffer.readline().decode()  # whatever the locale is
    except UnicodeError:
        raise CommandRefused("standard input is not text in UTF-8") from None
    return line.rstrip("\r\n")


def password_option(command: F) -> F:
    """Give a command the option `--password-stdin`."""
    return click.option(
        "--password-stdin",
        is_flag=True,
        help="Read the password from standard input, its first line, instead of asking for it.",
    )(command)


def host_option(command: F) -> F:
    """Give a command the option `--host`."""
    return click.option(
        "--host", help="Address to listen on.  [env var: CHAT4ALL_HOST; default: 127.0.0.1]"
    )(command)


def server_options(command: F) -> F:
    """Give a command the options for where the services listen, and `--data`."""
    for add in (
        data_option,
        click.option(
            "--metadata-port",
            type=int,
            help="The metadata service's port.  [env var: CHAT4ALL_METADATA_PORT; default: 8001]",
        ),
        click.option(
            "--port", type=int, help="The gateway's port.  [env var: CHAT4ALL_PORT; default: 8000]"
        ),
        host_option,
    ):
        command = add(command)
    return command
