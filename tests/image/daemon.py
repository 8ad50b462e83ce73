"""A Docker daemon of the tests' own: beside another one, and without a trace in the host's network.

Images are built on the host's network, since their packages come over it. Containers run in a
network namespace: published ports clash with nobody's, and no rule of the host's is changed.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from tests.faults.running import until

NAMESPACE = "chat4all-image-test"
CLONE_NEWNET = 0x40000000
START_SECONDS = 60
COMMAND_SECONDS = 900


class Docker:
    """A running daemon's clients, which are told where it is."""

    def __init__(self, socket: Path) -> None:
        self._environment = os.environ | {
            "DOCKER_HOST": f"unix://{socket}",
            # The builder that needs no plug-in; both clients then share what it has cached.
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "COMPOSE_PROJECT_NAME": "chat4all",
        }

    def run(self, *arguments: str, source: IO[bytes] | None = None) -> str:
        """Run `docker`, its input from `source`, and return what it prints."""
        return self._run(["docker", *arguments], source)

    def compose(self, *arguments: str) -> str:
        """Run `docker-compose` on the project's file and return what it prints."""
        return self._run(["docker-compose", "--ansi", "never", *arguments])

    def shell(self, script: str, folder: Path) -> str:
        """Run a shell's script in a folder, until a command fails, and return what it prints."""
        return self._run(["sh", "-euc", script], folder=folder)

    def has(self, image: str) -> bool:
        """Say whether there is such an image."""
        return bool(self.run("images", "--quiet", image))

    def memory(self, container: str) -> str:
        """Return what a container takes, without what is cached of files, and its limit."""
        return self.run("stats", "--no-stream", "--format", "{{.MemUsage}}", container)

    def _run(
        self,
        command: Sequence[str],
        source: IO[bytes] | None = None,
        *,
        folder: Path | None = None,
    ) -> str:
        told = subprocess.run(
            command,
            env=self._environment,
            cwd=folder,
            stdin=source or subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        text, progress = (part.decode(errors="replace") for part in (told.stdout, told.stderr))
        assert told.returncode == 0, f"{' '.join(command)}:\n{text}\n{progress}"
        return text.strip()


@contextlib.contextmanager
def running(folder: Path, *, network: str | None) -> Iterator[Docker]:
    """Run a daemon whose images are in `folder`, in a network namespace or on the host's network.

    On the host's it makes no bridge and no rule: containers have the host's network or none.
    """
    state = Path(tempfile.mkdtemp(prefix="chat4all-docker-"))  # short: a socket's path is bounded
    socket = state / "socket"
    command = ["dockerd", f"--host=unix://{socket}", "--group=root", f"--data-root={folder}"]
    command += [f"--exec-root={state}/exec", f"--pidfile={state}/pid"]
    if network is None:
        command += ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
    else:
        # Not `ip netns exec`: that mounts /sys anew, without the control groups.
        command = ["nsenter", f"--net=/run/netns/{network}", *command]
    docker = Docker(socket)
    log_file = folder.parent / "dockerd.log"
    with log_file.open("wb") as log:
        # A session of its own: Ctrl-C is for us, who then end it in order.
        daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: socket.exists() or daemon.poll() is not None, START_SECONDS)
        assert daemon.poll() is None, log_file.read_text()
        docker.run("info")
        yield docker
    finally:
        daemon.terminate()
        daemon.wait(60)
        _unmount(state)
        shutil.rmtree(state)


@contextlib.contextmanager
def namespace() -> Iterator[str]:
    """Make a network namespace; one that a killed run has left is removed first."""
    if NAMESPACE in namespaces():
        _ip("netns", "delete", NAMESPACE)
    _ip("netns", "add", NAMESPACE)
    try:
        _ip("-netns", NAMESPACE, "link", "set", "lo", "up")
        yield NAMESPACE
    finally:
        _ip("netns", "delete", NAMESPACE)


def namespaces() -> list[str]:
    """Return the names of the network namespaces that there are."""
    return [line.split()[0] for line in _ip("netns", "list").splitlines()]


def mounts(folder: Path) -> list[str]:
    """Return the mount points below a folder, the deepest first."""
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return sorted((point for point in points if Path(point).is_relative_to(folder)), reverse=True)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Give this thread's new sockets that namespace's network."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(here)
        os.close(there)
        os.close(here)


def _enter(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # `os.setns` comes with Python 3.12
    if libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _unmount(folder: Path) -> None:
    for point in mounts(folder):
        subprocess.run(["umount", point], check=True)


def _ip(*arguments: str) -> str:
    told = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout
