"""Processes of Chat4All that are forked from one that has imported everything.

That is three quarters of what a start costs, and most tests that kill processes are not about it.
Those that are about starting, output or a command line start the command itself.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_IMPORTED_FOR_THEIR_IMPORTS = ("tests.cluster.launch", "tests.metadata_service")

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [
        "chat4all.commands.dead_letters",
        "chat4all.commands.demo",
        "chat4all.commands.doctor",
        "chat4all.commands.gateway",
        "chat4all.commands.metadata",
        "chat4all.commands.migrate",
        "chat4all.commands.router",
        "chat4all.commands.up",
        "chat4all.commands.users",
        *_IMPORTED_FOR_THEIR_IMPORTS,
    ]
)

# What is known of a process is read from its pipe once, by whichever thread asks first.
_lock = threading.Lock()


def _take_over(
    environment: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    stdin: Path | None = None,
) -> None:
    """Give this process an environment, and files to whose ends it writes, or from which it reads.

    Without `errors` they go to `output`; without `stdin` there is nothing to read.
    """
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, output), (2, errors or output)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), number)
    if stdin is not None:
        with stdin.open("rb") as file:
            os.dup2(file.fileno(), 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115


def _run(module: str, arguments: Sequence[str], *taken_over: Any) -> None:
    _take_over(*taken_over)
    sys.argv = [module, *arguments]
    if module in _IMPORTED_FOR_THEIR_IMPORTS:
        sys.modules.pop(module, None)  # it is run anew
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # processes of multiprocessing end without


class Forked:
    """A process that runs a module; what tests use of `subprocess.Popen`."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
        stdin: Path | None = None,
    ) -> None:
        """Start it; for the last four see `_take_over`."""
        self._process: ForkServerProcess = _processes.Process(
            target=_run,
            args=(module, [*arguments], {**environment}, output, errors, stdin),
            daemon=True,
        )
        with _lock:
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return its status, -SIGNAL where a signal ended it, or None while it runs."""
        with _lock:
            return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Return its status; `subprocess.TimeoutExpired` after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked process", timeout)
            time.sleep(0.005)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        with _lock:
            self._process.kill()


def run_command(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    stdin: str = "",
    *,
    seconds: float = 60,
) -> "subprocess.CompletedProcess[str]":
    """Run a command of Chat4All to its end; `subprocess.TimeoutExpired` after so many seconds."""
    with TemporaryDirectory() as folder:
        given, output, errors = (Path(folder, name) for name in ("stdin", "output", "errors"))
        given.write_text(stdin)
        command = Forked("chat4all", arguments, environment, output, errors, given)
        try:
            status = command.wait(seconds)
        finally:
            command.kill()
        return subprocess.CompletedProcess(
            arguments, status, output.read_text(), errors.read_text()
        )
