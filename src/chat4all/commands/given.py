"""What commands are given: options, settings, and a data folder that is there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from chat4all.adapters.embedded.folder import restore_trouble
from chat4all.domain.errors import CommandRefused
from chat4all.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """Give a command the option `--data`."""
    return click.option(
        "--data",
        type=Path,
        help="Folder of all data, or CHAT4ALL_DATA.  [default: ./chat4all-data]",
    )(command)


def json_option(command: F) -> F:
    """Give a command the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        command
    )


def server_options(command: F) -> F:
    """Give a command the options that say where the services listen, and `--data`."""
    for add in (
        click.option("--data", type=Path, help="Folder for all data.  [default: ./chat4all-data]"),
        click.option(
            "--metadata-port", type=int, help="The metadata service's port.  [default: 8001]"
        ),
        click.option("--port", type=int, help="The gateway's port.  [default: 8000]"),
        click.option("--host", help="Address to listen on.  [default: 127.0.0.1]"),
    ):
        command = add(command)
    return command


def settings_from(**options: object) -> Settings:
    """Return the settings, where options that were given win; `StartRefused` for unusable ones."""
    return load_settings(**{name: value for name, value in options.items() if value is not None})


def existing_folder(data: Path | None) -> Path:
    """Return the data folder, which must be one; nothing is ever made here."""
    folder = settings_from(data=data).data
    if trouble := restore_trouble(folder):
        raise CommandRefused(trouble)
    if not (folder / "log.db").is_file() or not (folder / "store.db").is_file():
        raise CommandRefused(
            f"{folder} has no data of Chat4All: name its folder with --data or CHAT4ALL_DATA"
        )
    return folder
