"""Processes by number and start time: what a pid file says is believed only of the same process.

A number alone may have gone to somebody else since. Linux only: it reads /proc.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypedDict

# Linux ends a bound child when the *thread* that started it ends, so one thread starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engines")
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    started: int  # clock ticks since boot
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """Return the process that has this number now; None when it is gone or only unreaped."""
        stat = _stat(pid)
        return None if stat is None else cls(pid, stat.started, _boot())

    @classmethod
    def read(cls, file: Path) -> "Process | None":
        """Return the running process that a pid file names; None when that one is gone."""
        try:
            pid, started, boot = file.read_text().split()
            found = cls(int(pid), int(started), boot)
        except (OSError, ValueError):
            return None
        return found if found.runs() else None

    def write(self, file: Path) -> None:
        """Name this process in a pid file, in one step."""
        new = file.with_name(f"{file.name}.new")
        new.write_text(f"{self.pid} {self.started} {self.boot}\n")
        new.replace(file)

    def has_stopped(self) -> bool:
        """Say whether every thread is stopped by a signal, or the process has ended."""
        states = set()
        with contextlib.suppress(OSError):
            for stat in Path(f"/proc/{self.pid}/task").glob("*/stat"):
                with contextlib.suppress(OSError):
                    # The name, in brackets, may hold anything.
                    states.add(stat.read_text().rpartition(") ")[2][:1])
        return states <= {"T", "Z", "X"}

    def runs(self) -> bool:
        """Tell whether it is still there (a stopped one is, a zombie is not)."""
        return Process.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process and to no other; nothing when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)  # from here on the number cannot change its owner
            try:
                if self.runs():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    def family(self) -> list["Process"]:
        """Return this process and all that descend from it."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None:
                children.setdefault(stat.parent, []).append(int(entry.name))
        found, pids = [self], [self.pid]
        for pid in pids:
            for child in children.get(pid, []):
                if (process := Process.of(child)) is not None:
                    found.append(process)
                    pids.append(child)
        return found


def start(
    command: Sequence[str],
    log: Path,
    *,
    outlives: bool,
    user: str | None = None,
    folder: Path | None = None,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a process in a session of its own, its output at the end of `log`.

    It holds nothing of ours open, so that a shell which reads our output does not wait for it.
    Unless it `outlives` us it is killed when we end, however we end.
    """
    if not outlives:
        command = ["setpriv", "--pdeathsig", "KILL", *command]

    def popen(output: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            pass_fds=pass_fds,
            env=environment,
            start_new_session=True,
            **as_user(user),
        )

    with log.open("ab") as output:
        child = _starter.submit(popen, output).result()
    _children.append(child)
    stat = _stat(child.pid, ended_too=True)
    if stat is None:
        raise ProcessLookupError(f"{command[0]} has gone already")
    return Process(child.pid, stat.started, _boot())


def reap() -> None:
    """Take leave of the children that have ended."""
    _children[:] = [child for child in _children if child.poll() is None]


class Identity(TypedDict, total=False):
    """Arguments of `subprocess` that say who a process is."""

    user: str
    group: str
    extra_groups: Sequence[str]


def as_user(user: str | None) -> Identity:
    """Return the arguments of `subprocess` for another user, with that user's group alone."""
    return Identity() if user is None else Identity(user=user, group=user, extra_groups=())


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    started: int


def _stat(pid: int, *, ended_too: bool = False) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is a name in brackets, which may itself hold brackets and spaces.
    state, parent, *rest = text.rpartition(")")[2].split()
    # A first thread may be a zombie while others still hold ports and files.
    ended = state in "ZX" and int(rest[15]) <= 1
    return None if ended and not ended_too else _Stat(int(parent), int(rest[17]))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
