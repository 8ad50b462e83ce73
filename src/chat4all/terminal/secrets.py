"""Where the tokens of a sign-in are kept: in the system's keyring, or in a file of mode 0600."""

import importlib
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from chat4all.adapters.private_files import is_open_to_others, tighten, write_private
from chat4all.terminal.failing import not_signed_in

Place: TypeAlias = Literal["keyring", "file"]

SERVICE = "chat4all"
"""What entries of the keyring are filed under."""


ANY = 0.1
RECOMMENDED = 1
"""Priorities of backends of a keyring."""


class Vault(Protocol):
    """Keeps one secret. Everything here blocks."""

    place: Place

    def read(self) -> str | None:
        """Return the secret; None where there is none."""

    def write(self, secret: str) -> None:
        """Keep this in place of what was kept."""

    def remove(self) -> None:
        """Keep nothing."""


class FileVault:
    """Keeps a secret in a file that only its owner can read."""

    place: Place = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        """Return the secret. A file that others can read is made private, or refused."""
        try:
            if is_open_to_others(self._path) and not tighten(self._path):
                raise not_signed_in(
                    f"{self._path} can be read by others: remove it, and sign in again"
                )
            return self._path.read_text()
        except FileNotFoundError:
            return None

    def write(self, secret: str) -> None:
        """Replace the file, durably: what was kept before may be good no more."""
        write_private(self._path, secret.encode())

    def remove(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


class KeyringVault:
    """Keeps a secret in the keyring of the desktop or the operating system."""

    place: Place = "keyring"

    def __init__(self, keyring: Any, name: str) -> None:
        self._keyring = keyring
        self._name = name

    def read(self) -> str | None:
        """Return the secret."""
        secret: str | None = self._asked(self._keyring.get_password)
        return secret

    def write(self, secret: str) -> None:
        """Keep this."""
        self._asked(self._keyring.set_password, secret)

    def remove(self) -> None:
        """Forget the entry."""
        if self.read() is not None:
            self._asked(self._keyring.delete_password)

    def _asked(self, call: Any, *arguments: str) -> Any:
        try:
            return call(SERVICE, self._name, *arguments)
        except Exception as error:  # backends raise errors of their own, of D-Bus for example
            raise not_signed_in(
                f"the keyring does not answer ({type(error).__name__}): unlock it, "
                "or sign in with `chat4all login --secrets file`"
            ) from None


def keyring_of(priority: float) -> Any | None:
    """Return the module `keyring`, if it is installed and has a backend of at least this priority.

    None that keeps anything has 0 or less. Those that the package recommends have 1 and more; what
    is below writes to files.
    """
    try:
        keyring = importlib.import_module("keyring")
        return keyring if keyring.get_keyring().priority >= priority else None
    except ImportError:
        return None
    except Exception:  # as above: a backend that fails is none
        return None


def vault_at(place: Place, name: str, file: Path) -> Vault:
    """Return the vault in a place that was chosen before, for what `name` says."""
    if place == "file":
        return FileVault(file)
    keyring = keyring_of(ANY)
    if keyring is None:
        raise not_signed_in(
            "there is no keyring that can be used here: sign in with `--secrets file`"
        )
    return KeyringVault(keyring, name)


def choose_place(wanted: Place | None) -> Place:
    """Return where to keep new tokens: as wanted, else in the keyring where there is one.

    Raises `Failed` for a keyring that keeps nothing now: it is tried, before there is a secret.
    """
    if wanted == "file" or (wanted is None and keyring_of(RECOMMENDED) is None):
        return "file"
    trial = vault_at("keyring", "trial", Path())
    trial.write("trial")
    trial.remove()
    return "keyring"
