"""What commands are given: settings, and a data folder that is there."""

from pathlib import Path

from chat4all.adapters.embedded.folder import restore_trouble
from chat4all.domain.errors import CommandRefused
from chat4all.settings import Settings, load_settings


def settings_from(**options: object) -> Settings:
    """Return the settings, where options that were given win; `StartRefused` for unusable ones."""
    return load_settings(**{name: value for name, value in options.items() if value is not None})


def of_cluster(settings: Settings, *, asked: bool, data: object) -> bool:
    """Say whether a command is about a cluster: told so, or by what is set (`cluster_option`)."""
    return asked or (data is None and settings.is_cluster)


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
