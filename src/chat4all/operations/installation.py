"""What a command works on: the settings, and an existing data folder."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chat4all.adapters.embedded.folder import installation_trouble, restore_trouble
from chat4all.concurrency.output import say, write_in_background
from chat4all.domain.errors import CommandRefused
from chat4all.logs import configure_logging
from chat4all.settings import Settings, load_settings, unknown_names

_log = logging.getLogger(__name__)


def settings_from(**options: object) -> Settings:
    """Return the settings; options that are not None override them. `StartRefused` if unusable."""
    return load_settings(**{name: value for name, value in options.items() if value is not None})


def tell_unknown_names() -> None:
    """Say on standard error which names in the environment are no settings, if any are."""
    for what, found in unknown_names().items():
        about = "no setting of Chat4All" if what == "names" else "perhaps misspelt"
        say(f"chat4all: ignored, {about}: {', '.join(found)}")


def start_logging(settings: Settings) -> None:
    """Let this process log, and whatever it prints be written without waiting for a reader."""
    write_in_background()
    configure_logging(settings.log_level)
    if unknown := unknown_names():
        _log.warning("environment variables that are no settings are ignored", extra=unknown)


def is_of_cluster(settings: Settings, *, requested: bool, data: object) -> bool:
    """Return whether a command is about a cluster, by `--cluster` or by the settings."""
    return requested or (data is None and settings.is_cluster)


@contextmanager
def unreadable_refused() -> Iterator[None]:
    """Turn an error about a path, such as one of another user, into `CommandRefused`."""
    try:
        yield
    except OSError as error:
        if not isinstance(error.filename, str):
            raise  # of an output, perhaps
        path = Path(error.filename)
        if not os.access(path.parent, os.X_OK):
            path = path.parent  # which hides whether the other is there
        remedy = "name another folder"
        if isinstance(error, PermissionError):
            remedy = "run this as the user that Chat4All runs as, or change the permissions"
        raise CommandRefused(f"{path} cannot be read ({error.strerror}): {remedy}") from error


@unreadable_refused()
def existing_folder(data: Path | None) -> Path:
    """Return the data folder, which must have data; nothing is created."""
    folder = settings_from(data=data).data
    # What is left of an installation counts as one.
    if trouble := restore_trouble(folder) or installation_trouble(folder):
        raise CommandRefused(trouble)
    if not (folder / "log.db").is_file() or not (folder / "store.db").is_file():
        raise CommandRefused(
            f"{folder} has no data of Chat4All: name its folder with --data or CHAT4ALL_DATA"
        )
    return folder
