"""`make cluster` with a toy in place of the engines: what ends it, and what it leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import cluster as cluster_command
from engines import developer, free_port
from engines.processes import Process
from tests.faults.running import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

LAUNCH = """
import os, sys
from pathlib import Path
from engines import cluster, developer
from engines.packages import say
from tests.unit.test_engines import Toy

folder, port = Path(sys.argv[1]), sys.argv[2]

def servers():
    toy = Toy(folder / "toy")
    toy.port, toy._outlives = int(port), True
    toy._command[-1] = port
    return (toy,)

def start(services, gateway):
    (toy,) = servers()
    if toy.process() is None:
        toy.start()
    toy.wait_ready()
    say("ports " + " ".join(os.environ.get(name, "-") for name in cluster.SERVICES.values()))

developer.cache = cluster.cache = lambda: folder
developer._servers = servers
cluster._start = start
cluster._expect_running = lambda _: None
cluster.run()
"""


class Cluster:
    """`make cluster`, as often as it is started; its only engine is a toy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._line = [sys.executable, "-c", LAUNCH, str(folder), str(free_port())]
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *through: str) -> subprocess.Popen[bytes]:
        """Return it once it is up."""
        terminal, its_end = os.openpty()
        settings = {name: value for name, value in os.environ.items() if "CHAT4ALL" not in name}
        process = subprocess.Popen([*through, *self._line], env=settings, stderr=its_end)
        self._started.append(process)
        os.close(its_end)
        self.told = b""
        while b"ports" not in self.told.rpartition(b"\n")[0]:
            self.told += os.read(terminal, 4096)
        os.close(terminal)
        return process

    def engine(self) -> Process | None:
        return Process.read(self.folder / "toy" / "pid")

    def kill(self) -> None:
        """Leave nothing behind."""
        for process in self._started:
            process.kill()
            process.wait(20)
        if (engine := self.engine()) is not None:
            engine.send(signal.SIGKILL)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    yield found
    found.kill()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_leaves_no_engine_running(
    cluster: Cluster, number: signal.Signals
) -> None:
    process = cluster.start()
    process.send_signal(number)
    assert process.wait(20) == 0
    assert cluster.engine() is None


def test_the_services_are_told_the_ports_at_which_they_are_awaited(cluster: Cluster) -> None:
    """A router whose port is not set takes the next free one."""
    process = cluster.start()
    names = cluster_command.SERVICES.values()
    assert cluster.told.split() == [b"ports", *(b"%d" % developer.PORTS[name] for name in names)]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_an_ignored_hangup_stays_ignored(cluster: Cluster) -> None:
    process = cluster.start("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(status.partition("SigIgn:")[2].split()[0], 16) & 1
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_what_a_killed_one_started_is_stopped_by_the_next(cluster: Cluster) -> None:
    process = cluster.start()
    process.kill()
    process.wait(20)
    engine = cluster.engine()
    assert engine is not None
    process = cluster.start()
    assert cluster.engine() == engine
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    until(lambda: cluster.engine() is None)


def test_what_is_to_go_on_running_is_left(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make engines` after one that was killed."""
    process = cluster.start()
    process.kill()
    process.wait(20)
    monkeypatch.setattr(developer, "cache", lambda: cluster.folder)
    developer.release()
    process = cluster.start()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert cluster.engine() is not None
