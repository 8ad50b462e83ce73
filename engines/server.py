"""What all engines share: a server in a folder of its own, started, awaited, killed, stopped."""

import abc
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from engines import processes
from engines.processes import Process

# Below the range that the kernel gives to outgoing connections: a port is still free when its
# server starts again. The developer's instances have none of these.
PORTS = range(24_000, 25_000)
LOG_LINES_SHOWN = 40
POLL_SECONDS = 0.02

_handed_out: set[int] = set()


class Failed(Exception):
    """An engine cannot be had; the text says why, and what to do where that is known."""


class Server(abc.ABC):
    """A server: its data, configuration, log and pid file are in `folder`.

    The same folder again is the same server with the same data. Unless it `outlives` the process
    that started it, it is killed with it. As a context manager it is started, awaited, and at the
    end killed.
    """

    name: ClassVar[str]
    port: int
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path, *, outlives: bool = False) -> None:
        self.folder = folder.absolute()
        self.log_file = self.folder / "log"
        self._pid_file = self.folder / "pid"
        self._outlives = outlives

    @classmethod
    @abc.abstractmethod
    def provide(cls) -> None:
        """Install and fetch its programs where they are missing. Failed when that cannot be."""

    @abc.abstractmethod
    def answers(self) -> bool:
        """Ask in the server's own protocol; False while it does not answer."""

    @abc.abstractmethod
    def _prepare(self) -> None:
        """Write the configuration and, the first time, format the data."""

    @abc.abstractmethod
    def _launch(self) -> Process:
        """Start the process."""

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, not waiting until it answers. Failed when it runs already."""
        if self.process() is not None:
            raise Failed(f"{self.name} runs already in {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prepare()
        self._launch().write(self._pid_file)

    def wait_ready(self, seconds: float = 120) -> None:
        """Return once it answers; Failed, with the end of its log, when it ends or is too slow."""
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.process() is None:
                raise Failed(f"{self.name} ended at its start{self._log_end()}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} did not answer in {seconds:.0f} s{self._log_end()}")
            time.sleep(POLL_SECONDS)
        if self.process() is None:
            raise Failed(f"something else answers on port {self.port}{self._log_end()}")

    def process(self) -> Process | None:
        """Return its process; None when it does not run."""
        processes.reap()
        return Process.read(self._pid_file)

    def kill(self) -> None:
        """SIGKILL to it and to its children, and wait for their end. It may have ended already."""
        if not self._end(signal.SIGKILL, 30):
            raise Failed(f"{self.name} does not die, as if its disk did not answer: {self.folder}")

    def stop(self, seconds: float = 30) -> None:
        """Ask it to end; SIGKILL when it has not after `seconds`. It may have ended already."""
        if not self._end(self.stop_signal, seconds):
            self.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered from when this returns."""
        family = self._send(signal.SIGSTOP)
        deadline = time.monotonic() + 30
        while not all(process.has_stopped() for process in family):
            # Each thread stops when it is next scheduled: until then it may answer.
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} does not stop")
            time.sleep(0.001)

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        self._send(signal.SIGCONT)

    def restart(self, seconds: float = 120) -> None:
        """Start it again after `kill` or `stop` (`stop` comes first when it runs), and wait."""
        self.stop()
        self.start()
        self.wait_ready(seconds)

    def _once(self, make: Callable[[Path], None]) -> Path:
        """Return the data folder, made anew as long as `make` has not come to its end."""
        data, made = self.folder / "data", self.folder / "formatted"
        if not made.exists():
            shutil.rmtree(data, ignore_errors=True)
            data.mkdir()
            make(data)
            made.touch()
        return data

    def _run(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        pass_fds: Sequence[int] = (),
        typed: str = "",
    ) -> None:
        """Run a command to its end, with `typed` as its input."""
        try:
            with self.log_file.open("ab") as log:
                subprocess.run(
                    command,
                    input=typed.encode(),
                    stdout=log,
                    stderr=log,
                    cwd=self._working_folder(user),
                    pass_fds=pass_fds,
                    check=True,
                    timeout=60,
                    **processes.as_user(user),
                )
        except (subprocess.SubprocessError, OSError) as error:
            program = Path(command[0]).name
            raise Failed(f"{self.name}: {program} failed{self._log_end()}") from error

    def _start(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        return processes.start(
            command,
            self.log_file,
            outlives=self._outlives,
            user=user,
            folder=self._working_folder(user),
            pass_fds=pass_fds,
            environment=environment,
        )

    def _working_folder(self, user: str | None) -> Path:
        # Another user may not be able to come back to our folder.
        return self.folder if user is None else Path("/")

    def _send(self, number: signal.Signals) -> list[Process]:
        process = self.process()
        if process is not None and number is not signal.SIGCONT:
            process.send(signal.SIGSTOP)  # so that no child is born while they are counted
        family = [] if process is None else process.family()
        for member in family:
            member.send(number)
        return family

    def _end(self, number: signal.Signals, seconds: float) -> bool:
        """Send a signal and wait for the end; False when it has not come after `seconds`."""
        if number is signal.SIGKILL:
            waited_for = self._send(number)
        else:
            waited_for = [] if (process := self.process()) is None else [process]
            for process in waited_for:
                process.send(number)
            self.resume()  # a paused one would not see it
        deadline = time.monotonic() + seconds
        while any(process.runs() for process in waited_for):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        processes.reap()
        self._pid_file.unlink(missing_ok=True)
        return True

    def _log_end(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_file.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            return "\n".join([f"; the end of {self.log_file}:", *lines])
        return ""


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on and that this process was not given before."""
    for port in random.sample(PORTS, len(PORTS)):
        if port in _handed_out:
            continue
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind((address, port))
            _handed_out.add(port)
            return port
    raise Failed(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


def connect(address: str, port: int) -> socket.socket:
    """Return a connection for a question whose answer is a matter of milliseconds."""
    return socket.create_connection((address, port), timeout=2)


def receive(connection: socket.socket, count: int) -> bytes:
    """Return exactly `count` bytes; OSError when the other side hangs up before."""
    found = b""
    while len(found) < count:
        part = connection.recv(count - len(found))
        if not part:
            raise ConnectionResetError("the connection was closed")
        found += part
    return found
