"""Somebody with a shell and a state folder of their own: commands in this process or in others."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from chat4all.cli import main
from tests.faults.running import PRODUCT, Running, environment

SECONDS = 60


class Person:
    """Runs commands at a server; everything that they print is kept in `printed`."""

    def __init__(self, running: Running, folder: Path, username: str = "bruno") -> None:
        self.folder = folder
        self.username = username
        self.printed: list[str] = []
        self._environment = environment() | {
            "XDG_STATE_HOME": str(folder),
            "CHAT4ALL_URL": running.gateway,
        }

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, in this process."""
        with (
            tempfile.TemporaryFile("w+") as output,
            tempfile.TemporaryFile("w+") as errors,
            patch.dict(os.environ, self._environment, clear=True),
            patch.multiple(
                sys,
                stdin=io.TextIOWrapper(io.BytesIO(stdin.encode())),
                stdout=output,
                stderr=errors,
            ),
        ):
            try:
                main(arguments)
            except SystemExit as ended:
                status = ended.code
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read())
        assert isinstance(status, int)
        self.printed += texts
        return subprocess.CompletedProcess(arguments, status, *texts)

    def run_apart(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, in a process of its own."""
        done = subprocess.run(
            [*PRODUCT, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=self._environment,
        )
        self.printed += [done.stdout, done.stderr]
        return done

    def sign_in(self, *options: str, password: str = "test") -> "Person":
        done = self.run("login", self.username, "--password-stdin", *options, stdin=password)
        assert done.returncode == 0, done.stderr
        return self

    def rows(self, *arguments: str, stdin: str = "") -> list[Any]:
        """Return the lines of a command that succeeds."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refused(self, status: int, *arguments: str, stdin: str = "") -> str:
        """Return the sentence of a command that ends with this status."""
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        return done.stderr

    @contextmanager
    def started(self, *arguments: str, **streams: Any) -> Iterator["subprocess.Popen[str]"]:
        """Start a command that goes on, and end it."""
        process = subprocess.Popen(
            [*PRODUCT, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            **({"stdout": subprocess.PIPE} | streams),
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=SECONDS)

    def kept(self) -> dict[Path, str]:
        """Return every file that is kept, with its text."""
        return {path: path.read_text() for path in self.folder.rglob("*") if path.is_file()}

    def tokens(self) -> Path:
        """Return the file of the tokens."""
        (found,) = self.folder.rglob("tokens.json")
        return found


def ended(process: "subprocess.Popen[str]", number: signal.Signals) -> tuple[int, str]:
    """Send a signal; return the status and what was told on standard error."""
    process.send_signal(number)
    _, told = process.communicate(timeout=SECONDS)
    return process.returncode, told


def seqs(file: Path) -> Sequence[int]:
    """Return the numbers of the messages in the output of `tail`."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["message"]["seq"] for line in lines if line["type"] == "message"]


def command_line(process: int) -> str:
    """Return what other users of the machine see of a process."""
    return Path(f"/proc/{process}/cmdline").read_bytes().decode().replace("\0", " ")


def variables(process: int) -> str:
    return os.fsdecode(Path(f"/proc/{process}/environ").read_bytes())
