"""A one-machine installation, as the checks see it."""

from dataclasses import dataclass
from pathlib import Path

from chat4all.adapters.embedded.folder import DATABASES
from chat4all.adapters.installation import MARKER
from chat4all.settings import Settings

FILES = DATABASES


@dataclass(frozen=True, slots=True)
class OneMachine:
    """The installation. `held`: a process holds the data folder. `deep`: run slow checks too."""

    settings: Settings
    held: bool
    deep: bool = False

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.settings.data

    @property
    def has_data(self) -> bool:
        """Whether there are files to look at, or were."""
        return any((self.folder / name).is_file() for name in (*FILES, MARKER))

    @property
    def has_pair(self) -> bool:
        """Whether both log.db and store.db are there; the check of files reports when not."""
        return all((self.folder / name).is_file() for name in ("log.db", "store.db"))
