"""Operators' commands on what they may not read: one sentence each, and nothing is changed."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from chat4all.adapters.embedded.folder import LOCK
from chat4all.cli import OPERATORS, main
from chat4all.commands.backup import back_up
from tests.faults import troubles
from tests.faults.running import CHAT, environment
from tests.folders import make_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

RUN_ALL = """
import json, sys
from click.testing import CliRunner
from chat4all.cli import main
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(main, arguments, input="long enough\\n")
    print(json.dumps([result.exit_code, result.stdout, result.stderr, repr(result.exception)]))
"""

ARGUMENTS = {
    "doctor": (),
    "backup": ("backup",),
    "restore": ("whole",),
    "dead-letters list": (),
    "dead-letters show": ("1",),
    "dead-letters replay": ("--all",),
    "groups list": (),
    "groups show": (CHAT,),
    "groups hand-over": (CHAT, "ana"),
    "users create": ("ana", "--email", "ana@example.com", "--password-stdin"),
    "users list": (),
    "users disable": ("ana",),
    "users enable": ("ana",),
    "users passwd": ("ana", "--password-stdin"),
    "users delete": ("ana", "--yes"),
    "users export": ("ana",),
    "users audit": (),
}
"""Every command that has `--data`, but for `up`, and what else it is given."""


def commands(group: click.Group, names: Sequence[str]) -> Iterator[tuple[str, click.Command]]:
    for name in names:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            for inner, found in commands(command, list(command.commands)):
                yield f"{name} {inner}", found
        else:
            yield name, command


def test_every_command_with_a_data_folder_is_here() -> None:
    found = {
        name
        for name, command in commands(main, list(OPERATORS))
        if any(parameter.name == "data" for parameter in command.params)
    }
    assert found == {*ARGUMENTS, "up"}


def run_all(folder: Path, listed: Sequence[Sequence[object]]) -> list[tuple[int, str, str, str]]:
    """Run commands in a process that file permissions hold for."""
    ran = subprocess.run(
        troubles.ordinary([sys.executable, "-c", RUN_ALL]),
        cwd=folder,
        env=environment(),
        input=json.dumps([[str(one) for one in arguments] for arguments in listed]),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return [tuple(json.loads(line)) for line in ran.stdout.splitlines()]


@contextmanager
def denied(folder: Path) -> Iterator[None]:
    """Let nobody read or enter a folder, as if it were another user's."""
    mode = folder.stat().st_mode
    folder.chmod(0)
    try:
        yield
    finally:
        folder.chmod(mode)


def sentences(folder: Path, data: object) -> dict[str, str]:
    """Return what each command says about this data folder, none of which succeeds."""
    listed = [(*name.split(), *more, f"--data={data}") for name, more in ARGUMENTS.items()]
    found = {}
    for name, (status, stdout, stderr, error) in zip(
        ARGUMENTS, run_all(folder, listed), strict=True
    ):
        assert status == 1, (name, stdout, stderr, error)
        if name == "doctor":
            assert "problem" in stdout
            continue
        (found[name],) = stderr.splitlines()
    return found


def test_a_folder_of_another_user_is_one_sentence(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    back_up(data, tmp_path / "whole")
    make_folder(tmp_path / "another")
    before = {path.name for path in data.iterdir()}
    with denied(data):
        for name, sentence in sentences(tmp_path, "data").items():
            assert sentence == (
                "chat4all: data cannot be read (Permission denied): run this as the user that "
                "Chat4All runs as, or change the permissions"
            ), name
        inside = run_all(
            tmp_path,
            [
                ("users", "list", "--data=data/within"),
                ("restore", "whole", "--data=data/within"),
                ("restore", "data", "--data=new"),
                ("backup", "data/b", "--data=another"),
            ],
        )
        for status, _, stderr, error in inside:
            assert status == 1, (stderr, error)
            assert "Permission denied" in stderr
            assert len(stderr.splitlines()) == 1
    assert {path.name for path in data.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "whole", "another"}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with troubles.small_disk(tmp_path / "disk") as disk:
        data = make_folder((disk or tmp_path) / "data")
        with troubles.read_only(data) if disk is None else mounted_read_only(disk):
            ran = run_all(tmp_path, [("doctor", f"--data={data}")])
            said = sentences(tmp_path, data)
    says = (
        f"{data} cannot be written, which SQLite needs for reading too: run this as the user that "
        "Chat4All runs as, mount the file system for writing, or name a copy of the folder with "
        "--data"
    )
    assert ran[0][1].count(says) == 1
    assert said.pop("restore").endswith(
        "is not empty: name a new folder with --data, or move what is there away"
    )
    for name, sentence in said.items():
        assert sentence == f"chat4all: {says}", name


@contextmanager
def mounted_read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def test_a_lock_of_another_user_is_one_sentence(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    (data / LOCK).touch(0)
    ((status, _, stderr, error),) = run_all(tmp_path, [("dead-letters", "list", "--data=data")])
    assert status == 1, error
    assert stderr.startswith("chat4all: data/lock cannot be read (Permission denied): run this as")


def test_a_database_of_another_user_is_one_sentence(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    with denied(data / "metadata.db"):
        said = sentences(tmp_path, "data")
    assert said.pop("restore").startswith("chat4all: data is not empty")
    for name, sentence in said.items():
        assert sentence == (
            f"chat4all: {data / 'metadata.db'} cannot be read: run this as the user that Chat4All "
            "runs as, or change the permissions"
        ), name
