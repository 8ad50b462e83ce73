"""What is kept of a sign-in: who it is, with which modes, and which one is meant."""

import os
import stat
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from chat4all.terminal import accounts
from chat4all.terminal.accounts import Account, all_accounts, find, is_exposed, parsed_url
from chat4all.terminal.failing import NOT_SIGNED_IN, Failed
from chat4all.terminal.secrets import Place, choose_place

HERE, THERE = "http://localhost:8000", "https://chat.example.com"


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    return tmp_path / "state" / "chat4all"


def signed_in(username: str, url: str = HERE, place: Place = "file") -> Account:
    account = Account(url, username, place)
    account.save()
    account.vault.write("secret")
    return account


def why_not(url: str | None = None, username: str | None = None) -> str:
    with pytest.raises(Failed) as failed:
        find(url, username)
    assert failed.value.status == NOT_SIGNED_IN
    return str(failed.value)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_only_the_owner_can_read_what_is_kept(state: Path, umask: int) -> None:
    (state.parent).mkdir()
    before = os.umask(umask)
    try:
        signed_in("ana").vault.write("another")
    finally:
        os.umask(before)
    found = modes(state)
    assert len([name for name in found if name.endswith("tokens.json")]) == 1
    for name, mode in found.items():
        assert mode == (0o700 if (state / name).is_dir() else 0o600), name


def test_a_file_that_others_can_read_is_made_private_before_it_is_used(state: Path) -> None:
    account = signed_in("ana")
    (tokens,) = state.rglob("tokens.json")
    tokens.chmod(0o644)
    assert account.vault.read() == "secret"
    assert modes(tokens)["."] == 0o600


def test_the_last_sign_in_is_meant_where_nobody_is_named() -> None:
    assert why_not() == "nobody is signed in: `chat4all login`"
    ana = signed_in("ana")
    bruno = signed_in("bruno")
    far = signed_in("ana", THERE)
    assert find(None, None) == far
    assert find(HERE, "ana") == ana
    assert find(None, "bruno") == bruno
    assert find(THERE, None) == far
    assert find(None, "ana") == far, "the last one, of two that fit"


def test_who_is_not_signed_in_is_told_how_to_be() -> None:
    signed_in("ana")
    assert why_not(THERE) == f"nobody is signed in at {THERE}: `chat4all login --url {THERE}`"
    assert why_not(None, "x") == "x is not signed in: `chat4all login x`"
    assert why_not(HERE, "x") == f"x is not signed in at {HERE}: `chat4all login --url {HERE} x`"


def test_of_several_none_is_guessed() -> None:
    for name in ("ana", "bruno"):
        signed_in(name)
    signed_in("carla", THERE)
    assert why_not(HERE) == (
        f"say who you are, with --user and --url: ana at {HERE}, bruno at {HERE} are signed in"
    )


def test_what_was_removed_is_gone(state: Path) -> None:
    account = signed_in("ana")
    other = signed_in("bruno")
    other.remove()
    assert all_accounts() == [account]
    assert "bruno" not in "".join(map(str, state.rglob("*")))
    assert find(None, None) == account, "the only one that is left"


def test_a_folder_that_is_not_ours_is_passed_over(state: Path) -> None:
    account = signed_in("ana")
    for number, text in enumerate(("", "[]", '{"url": 1}')):
        folder = state / "accounts" / str(number)
        folder.mkdir()
        (folder / "account.json").write_text(text)
    assert all_accounts() == [account]


def test_the_folder_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "relative/path"):
        monkeypatch.setenv("XDG_STATE_HOME", unset)
        assert accounts.state_folder() == tmp_path / ".local" / "state" / "chat4all"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:8000/", HERE),
        ("https://Chat.Example.com", THERE),
        ("https://example.com/chat/", "https://example.com/chat"),
    ],
)
def test_one_address_has_one_form(text: str, url: str) -> None:
    assert parsed_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "localhost:8000",
        "ftp://example.com",
        "http://",
        "http://example.com:port",
        "http://[",
        "http://example com",
        "https://ana:secret@example.com",
        "https://example.com/?a=b",
        f"https://example.com/{'x' * 200}",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Failed) as failed:
        parsed_url(text)
    assert str(failed.value) == f"--url: give an address such as {HERE}"


def test_an_address_over_a_network_without_tls_is_known() -> None:
    assert not is_exposed(HERE)
    assert not is_exposed(THERE)
    assert not is_exposed("http://[::1]:8000")
    assert is_exposed("http://chat.example.com")


class Keyring(ModuleType):
    """The package `keyring`, with a backend."""

    def __init__(self, priority: float) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}
        self.backend = SimpleNamespace(priority=priority)
        self.is_locked = False

    def get_keyring(self) -> SimpleNamespace:
        return self.backend

    def get_password(self, service: str, name: str) -> str | None:
        self._unlock()
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        self._unlock()
        self.kept[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        self._unlock()
        del self.kept[service, name]

    def _unlock(self) -> None:
        if self.is_locked:
            raise RuntimeError("secret")


def test_a_keyring_that_is_recommended_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_place(None) == "file", "the package is not installed"
    monkeypatch.setitem(sys.modules, "keyring", Keyring(0))
    assert choose_place(None) == "file", "there is no keyring on this system"
    monkeypatch.setitem(sys.modules, "keyring", Keyring(0.5))
    assert choose_place(None) == "file", "it would be a file, and not a private one"
    assert choose_place("keyring") == "keyring"
    keyring = Keyring(5)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    assert choose_place(None) == "keyring"
    assert keyring.kept == {}
    assert choose_place("file") == "file"


def test_a_keyring_that_keeps_nothing_is_told_before_there_is_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Failed, match="there is no keyring that can be used here"):
        choose_place("keyring")
    keyring = Keyring(5)
    keyring.is_locked = True
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    with pytest.raises(Failed, match="unlock it"):
        choose_place(None)


def test_what_is_in_the_keyring_is_not_in_a_file(
    monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    keyring = Keyring(5)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    account = signed_in("ana", place="keyring")
    (found,) = all_accounts()
    assert found.vault.read() == "secret"
    assert keyring.kept == {("chat4all", f"ana@{HERE}"): "secret"}
    assert "secret" not in "".join(f.read_text() for f in state.rglob("*") if f.is_file()).replace(
        '"secrets"', ""
    )
    account.remove()
    account.remove()  # a second time is no error
    assert keyring.kept == {}


def test_a_keyring_that_fails_is_told_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring(5)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    account = signed_in("ana", place="keyring")
    keyring.is_locked = True
    with pytest.raises(Failed, match=r"the keyring does not answer \(RuntimeError\): unlock it"):
        account.vault.read()
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(Failed, match="there is no keyring that can be used here"):
        _ = account.vault
