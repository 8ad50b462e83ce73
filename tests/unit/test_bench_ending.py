"""A benchmark that a signal ends leaves nothing behind: no folder, and no server."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import suite
from chat4all.cli import main
from chat4all.commands import bench as command


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Let a signal that nothing handles not end the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def bench(monkeypatch: pytest.MonkeyPatch, folder: Path, number: signal.Signals) -> tuple[Any, str]:
    """Run one that gets a signal while it measures; return its result, and how far it came."""
    came = "nowhere"

    def measure(*_: object) -> suite.Part:
        nonlocal came
        assert list(folder.iterdir())
        came = "to the signal"
        try:
            os.kill(os.getpid(), number)
            came = "beyond it"
        finally:
            # As the servers are stopped; a second signal does not cut that short.
            os.kill(os.getpid(), number)
            came += ", all stopped"
        return suite.Part(None, (), "not measured")

    monkeypatch.setattr(suite, "_measure", measure)
    monkeypatch.setattr(command, "_draw", lambda *_: None)
    arguments = ["bench", "--only", "start", "--folder", str(folder)]
    return CliRunner().invoke(main, arguments), came


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_ctrl_c_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    unhandled = []
    signal.signal(number, lambda *_: unhandled.append(number))
    before = signal.getsignal(number)
    result, came = bench(monkeypatch, tmp_path, number)
    assert (result.exit_code, came, unhandled) == (128 + number, "to the signal, all stopped", [])
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(number) is before


def test_a_hangup_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    result, came = bench(monkeypatch, tmp_path, signal.SIGHUP)
    assert came == "beyond it, all stopped"
    assert result.exit_code == 1  # nothing was measured
