"""The sign-ins that are kept between runs, in a folder a user, and which of them is meant.

    $XDG_STATE_HOME/chat4all/          ~/.local/state/chat4all/ where that is not set
        current                        the account that the last `chat4all login` was for
        accounts/ana@https%3A%2F%2F…/
            account.json               whose it is, and where the tokens are
            tokens.json                the tokens, unless the keyring has them
            tail/                      how far `chat4all tail` has come

All of it is for its owner only: the folders have mode 0700, the files 0600.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from chat4all.adapters.private_files import lock_folder, make_private_folder, write_private
from chat4all.client.checking import checked_url
from chat4all.terminal.failing import Failed, not_signed_in
from chat4all.terminal.secrets import Place, Vault, vault_at

DEFAULT_URL = "http://localhost:8000"

URL_MAX = 150
"""Characters of an address: with a username they are the name of a folder."""


@dataclass(frozen=True)
class Account:
    """A user of the gateway at `url`, with the folder of what is kept for them."""

    url: str
    username: str
    place: Place
    """Where the tokens are."""

    def __str__(self) -> str:
        return f"{self.username} at {self.url}"

    @property
    def folder(self) -> Path:
        """What is kept between runs."""
        return _accounts() / quote(f"{self.username}@{self.url}", safe="@")

    @property
    def vault(self) -> Vault:
        """Where the tokens are kept. Raises `Failed` for a keyring that cannot be used now."""
        return vault_at(self.place, f"{self.username}@{self.url}", self.folder / "tokens.json")

    def make_folder(self) -> None:
        """Make the folder, and those that it is in."""
        for folder in (state_folder(), _accounts(), self.folder):
            make_private_folder(folder)

    def save(self) -> None:
        """Keep the account, and take it from now on where none is named."""
        self.make_folder()
        fields = {"url": self.url, "username": self.username, "secrets": self.place}
        with lock_folder(state_folder()):  # of two sign-ins at once
            write_private(self.folder / "account.json", json.dumps(fields).encode())
            write_private(_current(), self.folder.name.encode())

    def remove(self) -> None:
        """Forget the account and everything that was kept for it."""
        self.vault.remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        with lock_folder(state_folder()):  # another account may become the current one
            if _current_name() == self.folder.name:
                _current().unlink(missing_ok=True)


def state_folder() -> Path:
    """Return the folder of what is kept between runs, as the XDG base directories say."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    # A relative one is to be passed over.
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "chat4all"


def parsed_url(text: str) -> str:
    """Return a gateway's address without what varies. Raises `Failed`."""
    try:
        parts = urlsplit(text)
        checked_url(parts.geturl())
        is_good = len(text) <= URL_MAX
    except ValueError:
        is_good = False
    if not is_good:
        raise Failed(f"--url: give an address such as {DEFAULT_URL}")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}".rstrip("/")


def is_exposed(url: str) -> bool:
    """Say whether a password travels to this address without encryption, over a network."""
    parts = urlsplit(url)
    local = ("localhost", "127.0.0.1", "::1")
    return parts.scheme == "http" and parts.hostname not in local


def find(url: str | None, username: str | None) -> Account:
    """Return the account that is meant: by what is named, else that of the last sign-in.

    Raises `Failed` where there is none, or more than one.
    """
    saved = all_accounts()
    current = _current_name()
    fitting = [
        account
        for account in saved
        if (url is None or account.url == url) and (username in (None, account.username))
    ]
    for account in fitting:
        if account.folder.name == current:
            return account
    match fitting:
        case [account]:
            return account
        case []:
            who = f"{username} is not" if username else "nobody is"
            where = f" at {url}" if url else ""
            words = ("chat4all login", url and f"--url {url}", username)
            command = " ".join(word for word in words if word)
            raise not_signed_in(f"{who} signed in{where}: `{command}`")
    names = ", ".join(map(str, fitting))
    raise not_signed_in(f"say who you are, with --user and --url: {names} are signed in")


def all_accounts() -> Sequence[Account]:
    """Return every account that is signed in, by name."""
    found = []
    for file in sorted(_accounts().glob("*/account.json")):
        try:
            fields = json.loads(file.read_bytes())
            found.append(Account(fields["url"], fields["username"], fields["secrets"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being removed, or not ours
    return found


def _accounts() -> Path:
    return state_folder() / "accounts"


def _current() -> Path:
    return state_folder() / "current"


def _current_name() -> str | None:
    try:
        return _current().read_text()
    except FileNotFoundError:
        return None
