"""`make cluster`, on other ports than the developer's: one command, until Ctrl-C."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import developer, free_port
from engines.processes import Process
from tests.faults.running import CHAT, call, environment, free_ports, until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(480)]

# The jars are not fetched again: only what is made is elsewhere.
LAUNCH = """
import sys
from pathlib import Path
from engines import Failed, cluster, developer
folder, *ports = sys.argv[1:]
for name, number in (port.split("=") for port in ports):
    setattr(developer, name, int(number))
developer.cache = cluster.cache = lambda: Path(folder)
try:
    cluster.run()
except Failed as failed:
    sys.exit(str(failed))
"""


class Command:
    """`make cluster` in a folder of the test's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = [name for name in dir(developer) if name.endswith("_PORT")]
        arguments = [str(folder), *(f"{name}={free_port()}" for name in names)]
        self._line = [sys.executable, "-c", LAUNCH, *arguments]
        gateway, metadata, router = free_ports(3)
        self.gateway = f"http://127.0.0.1:{gateway}"
        self._environment = environment() | {
            "CHAT4ALL_PORT": str(gateway),
            "CHAT4ALL_METADATA_PORT": str(metadata),
            "CHAT4ALL_ROUTER_PORT": str(router),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        with self._told.open("wb") as told:
            self.process = subprocess.Popen(
                self._line, env=self._environment, stdout=told, stderr=told
            )
        return self.process

    def again(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self._line,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def told(self) -> str:
        return self._told.read_text()

    def until_welcome(self) -> None:
        def welcomed() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.told()
            return "Ctrl-C stops everything" in self.told()

        until(welcomed, 300)

    def running(self) -> dict[str, Process]:
        """Return what runs, by its name."""
        files = [*self._folder.glob("data/*/pid"), *self._folder.glob("cluster/*/pid")]
        found = {file.parent.name: Process.read(file) for file in files}
        return {name: process for name, process in found.items() if process is not None}

    def kill(self) -> None:
        """Leave nothing behind when the test failed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
        for process in self.running().values():
            process.send(signal.SIGKILL)

    @property
    def _told(self) -> Path:
        return self._folder / "told"


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    found = Command(tmp_path)
    yield found
    found.kill()


def history(on: Command) -> list[str]:
    form = {"username": "bruno", "password": "test"}
    token = call("POST", f"{on.gateway}/token", form=form)[1]["access_token"]
    status, page = call("GET", f"{on.gateway}/v1/conversations/{CHAT}/messages", token=token)
    assert status == 200, page
    return [message["content"] for message in page]


def test_one_command_starts_all_and_ctrl_c_stops_all(command: Command) -> None:
    first = command.start()
    command.until_welcome()
    everything = {"kafka", "cassandra", "postgres", "s3", "gateway", "metadata", "router"}
    assert set(command.running()) == everything
    assert f"{command.gateway.replace('127.0.0.1', 'localhost')}/docs" in command.told()

    form = {"username": "bruno", "password": "test"}
    token = call("POST", f"{command.gateway}/token", form=form)[1]["access_token"]
    body = {"chat_id": CHAT, "content": "Olá!"}
    assert call("POST", f"{command.gateway}/v1/messages", body, token)[0] == 202
    until(lambda: history(command) == ["Olá!"])

    second = command.again()
    assert second.returncode == 1
    assert "a cluster runs here already" in second.stderr
    assert set(command.running()) == everything

    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 0, command.told()
    assert command.running() == {}

    # The data stayed; and what ends by itself is said, and ends all.
    third = command.start()
    command.until_welcome()
    assert history(command) == ["Olá!"]
    command.running()["router"].send(signal.SIGKILL)
    assert third.wait(60) == 1
    assert "the router has ended" in command.told()
    assert command.running() == {}
