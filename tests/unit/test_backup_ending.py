"""A backup that is ended by a signal, and one that nobody can be told of."""

import errno
import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from chat4all.commands.backup import back_up
from chat4all.operations import backups
from chat4all.operations.ending import ENDING
from tests.folders import make_folder
from tests.records import record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data", [record("a")])


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def sends(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send a signal to this process at the end of the copying, as soon as a handler is there."""
    real = backups.sync_all

    def sync_all(folder: Path) -> None:
        os.kill(os.getpid(), number)
        real(folder)

    monkeypatch.setattr(backups, "sync_all", sync_all)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_told_to_end_leaves_nothing(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def unexpected(*_: object) -> None:
        pytest.fail("no handler was set")

    signal.signal(number, unexpected)
    sends(monkeypatch, number)
    with pytest.raises(click.exceptions.Exit) as ended:
        back_up(data, tmp_path / "backup")
    assert ended.value.exit_code == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert signal.getsignal(number) is unexpected


@pytest.mark.parametrize("second", ENDING)
@pytest.mark.parametrize("first", ENDING)
def test_a_second_signal_does_not_keep_the_half_backup(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: signal.Signals,
    second: signal.Signals,
) -> None:
    sends(monkeypatch, first)
    real = shutil.rmtree

    def rmtree(path: Path, **options: Any) -> None:
        os.kill(os.getpid(), second)
        real(path, **options)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises((click.exceptions.Exit, KeyboardInterrupt)) as ended:
        back_up(data, tmp_path / "backup")
    if isinstance(ended.value, click.exceptions.Exit):
        assert ended.value.exit_code == 128 + first
    else:
        assert first == signal.SIGINT
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_signal_that_is_ignored_is_so_for_a_backup(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `nohup`, for a backup that goes on when its terminal is closed."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sends(monkeypatch, signal.SIGHUP)
    back_up(data, tmp_path / "backup")
    assert (tmp_path / "backup").is_dir()


def test_a_backup_is_made_also_where_nothing_can_be_said(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `2>/dev/full`, or where the disk of a log is full."""

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    back_up(data, tmp_path / "backup")
    assert (tmp_path / "backup").is_dir()
