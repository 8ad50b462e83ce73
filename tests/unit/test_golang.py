"""How Go is found, and what is fetched where there is none."""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from engines import Failed, golang


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("go1.19.8", False),
        ("go1.24.13", False),
        ("go1.25.0", True),
        ("go1.26.8", True),
        ("", False),
    ],
)
def test_a_go_that_is_too_old_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, found: bool
) -> None:
    go = tmp_path / "go"
    go.touch()

    def run(*_: object, **options: object) -> subprocess.CompletedProcess[str]:
        # Else an old one would fetch a new one by itself.
        assert options["env"] == os.environ | {"GOTOOLCHAIN": "local"}
        return subprocess.CompletedProcess([], 0, stdout=f"{version}\n")

    monkeypatch.setattr(golang, "PLACES", (str(go),))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(subprocess, "run", run)
    assert golang.find_go() == (go if found else None)


@pytest.mark.parametrize(
    ("setting", "proxy"),
    [
        ("", golang.PROXY),
        ("off", golang.PROXY),
        ("https://mirror.example/go/,direct", "https://mirror.example/go"),
        ("direct|http://other.example", "http://other.example"),
    ],
)
def test_go_is_fetched_from_where_modules_are(setting: str, proxy: str) -> None:
    assert golang.proxy_of(setting) == proxy


def test_what_is_not_the_pinned_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(b"something")
    copy = tmp_path / "copy"
    golang.fetch(archive.as_uri(), copy, hashlib.sha256(b"something").hexdigest())
    assert copy.read_bytes() == b"something"
    with pytest.raises(Failed, match="is not what it was: its SHA-256 is"):
        golang.fetch(archive.as_uri(), copy, hashlib.sha256(b"something else").hexdigest())


def test_a_machine_for_which_nothing_is_pinned_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(Failed, match=r"Go 1\.25 or newer is missing: install it"):
        golang.toolchain(tmp_path)


def test_the_modules_are_pinned_by_their_hashes() -> None:
    module = Path(golang.__file__).with_name("go") / "versitygw"
    sums = (module / "go.sum").read_text()
    assert "\tgithub.com/versity/versitygw v1.8.0" in (module / "go.mod").read_text()
    assert "github.com/versity/versitygw v1.8.0 h1:" in sums
