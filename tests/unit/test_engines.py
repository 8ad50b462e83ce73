"""Starting the engines: which processes are recognised and killed, what is written and printed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engines import (
    CassandraNode,
    Failed,
    KafkaBroker,
    PostgresServer,
    Server,
    developer,
    free_port,
    packages,
)
from engines.processes import Process
from engines.server import connect, receive
from tests.faults.running import until

ANSWERS = """
import signal, socket, sys
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        with server.accept()[0] as connection:
            connection.sendall(b"!")
"""


class Toy(Server):
    """A server that is up in no time."""

    name = "toy"

    def __init__(self, folder: Path, *arguments: str, code: str = ANSWERS) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._command = [sys.executable, "-S", "-c", code, str(self.port), *arguments]

    @classmethod
    def provide(cls) -> None:
        """Python is there."""

    def answers(self) -> bool:
        try:
            with connect("127.0.0.1", self.port) as connection:
                return receive(connection, 1) == b"!"
        except OSError:
            return False

    def _prepare(self) -> None:
        self._once(lambda data: (data / "made").touch())

    def _launch(self) -> Process:
        return self._start(self._command)


def test_a_server_is_killed_and_comes_back_in_its_folder(tmp_path: Path) -> None:
    with Toy(tmp_path) as toy:
        first = toy.process()
        assert first is not None
        toy.kill()
        assert not first.runs()
        assert toy.process() is None
        toy.restart()
        assert toy.process() not in (None, first)
        toy.stop()
        assert toy.process() is None
        toy.stop()
        toy.kill()


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    with Toy(tmp_path, "deaf") as toy:
        toy.stop(seconds=0.2)
        assert toy.process() is None


def test_a_paused_one_can_be_stopped(tmp_path: Path) -> None:
    with Toy(tmp_path) as toy:
        process = toy.process()
        toy.pause()
        assert process is not None
        assert process.runs()
        toy.stop()
        assert not process.runs()


def test_a_second_start_is_refused(tmp_path: Path) -> None:
    with Toy(tmp_path), pytest.raises(Failed, match="runs already"):
        Toy(tmp_path).start()


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    toy = Toy(tmp_path, code="raise SystemExit('no more room')")
    with pytest.raises(Failed, match="no more room"), toy:
        pass


def test_one_that_does_not_answer_in_time_is_not_left_running(tmp_path: Path) -> None:
    toy = Toy(tmp_path, code="import time; print('waiting', flush=True); time.sleep(60)")
    toy.start()
    until(lambda: "waiting" in toy.log_file.read_text())
    with pytest.raises(Failed, match="did not answer in 0 s"):
        toy.wait_ready(0.05)
    toy.kill()
    assert toy.process() is None


def test_data_whose_formatting_was_cut_off_is_formatted_anew(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "half").touch()
    with Toy(tmp_path) as toy:
        assert [path.name for path in (tmp_path / "data").iterdir()] == ["made"]
        (tmp_path / "data" / "more").touch()
        toy.restart()
        assert (tmp_path / "data" / "more").exists()


def test_a_number_that_went_to_another_process_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with subprocess.Popen(["sleep", "60"]) as other:
        here = Process.of(other.pid)
        assert here is not None
        here.write(file)
        assert Process.read(file) == here
        earlier = Process(other.pid, here.started - 1, here.boot)
        earlier.write(file)
        assert Process.read(file) is None
        Process(other.pid, here.started, "another boot").write(file)
        assert Process.read(file) is None
        earlier.send(signal.SIGKILL)
        assert here.runs()
        here.send(signal.SIGKILL)
    assert not here.runs()
    here.send(signal.SIGKILL)  # nothing to kill is no error


def test_an_unreaped_process_has_ended() -> None:
    ended = subprocess.Popen(["true"])
    until(lambda: Process.of(ended.pid) is None)
    assert Path(f"/proc/{ended.pid}").exists()
    ended.wait()


@pytest.mark.parametrize("content", ["", "12", "a b c", "1 2 3 4"])
def test_a_broken_pid_file_names_nobody(content: str, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(content)
    assert Process.read(tmp_path / "pid") is None


def test_a_family_is_killed_whole(tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & setsid sleep 60 & wait"]) as parent:
        process = Process.of(parent.pid)
        assert process is not None
        until(lambda: len(process.family()) == 3)
        family = process.family()
        for member in family:
            member.send(signal.SIGKILL)
        until(lambda: not any(member.runs() for member in family[1:]))


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.unit.test_engines import Toy\n"
        "toy = Toy(Path(sys.argv[1])); toy.start(); toy.wait_ready(); print('up', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        served = Process.read(tmp_path / "pid")
        assert served is not None
        starter.kill()
    until(lambda: not served.runs())


def test_no_port_is_handed_out_twice() -> None:
    ports = {free_port() for _ in range(20)}
    assert len(ports) == 20
    assert not ports & {value for name, value in vars(developer).items() if name.endswith("_PORT")}


def test_kafka_is_told_its_ports_and_makes_no_topics(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path, port=24001, controller_port=24002)
    lines = broker.properties().splitlines()
    assert "listeners=PLAINTEXT://127.0.0.1:24001,CONTROLLER://127.0.0.1:24002" in lines
    assert "advertised.listeners=PLAINTEXT://127.0.0.1:24001" in lines
    assert "auto.create.topics.enable=false" in lines
    assert f"log.dirs={tmp_path}/data" in lines
    assert broker.address == "127.0.0.1:24001"


def test_cassandra_is_told_where_it_is_and_to_keep_its_word(tmp_path: Path) -> None:
    first = CassandraNode(tmp_path / "1", port=24001, storage_port=24002)
    second = CassandraNode(
        tmp_path / "2", address="127.0.0.2", port=24001, storage_port=24002, seeds=[first.peer]
    )
    found = json.loads(second.configuration())
    assert found["listen_address"] == found["rpc_address"] == "127.0.0.2"
    assert (found["native_transport_port"], found["storage_port"]) == (24001, 24002)
    assert found["seed_provider"][0]["parameters"] == [{"seeds": "127.0.0.1:24002"}]
    assert found["commitlog_disk_access_mode"] == "legacy"
    assert found["commitlog_sync"] == "batch"
    assert found["commitlog_directory"].startswith(str(tmp_path / "2"))


def test_postgres_says_where_its_databases_are(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, port=24001)
    assert server.url() == "postgresql://chat4all@127.0.0.1:24001/chat4all"
    assert server.url("x").endswith("/x")


def test_a_missing_tool_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    absent = packages.Tool("Maven", "maven", lambda: None)
    with pytest.raises(Failed, match="Maven missing; run: sudo apt-get install maven"):
        packages.tools(absent)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Failed, match="on Debian and Ubuntu: apt-get install maven"):
        packages.tools(absent)


def test_packages_start_no_services_where_nothing_says_so_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    monkeypatch.setattr(packages, "APT_LOCK", tmp_path / "lock")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    answers: list[int] = []
    commands: list[str] = []

    def run(command: Sequence[str], *_: object) -> None:
        answers.append(subprocess.run([policy, "nginx", "start"], check=False).returncode)
        commands.append(" ".join(command))

    monkeypatch.setattr(packages, "run", run)
    found = iter([None, Path("/usr/sbin/nginx"), Path("/usr/sbin/nginx")])
    packages.tools(packages.Tool("nginx", "nginx", lambda: next(found), service="nginx"))
    assert set(answers) == {101}  # "forbidden", as `invoke-rc.d` understands it
    assert not policy.exists()
    # Nor do they start with the machine.
    assert commands[-1] == "/usr/bin/systemctl --quiet disable nginx"
    assert len(commands) == 3


@pytest.mark.parametrize(("free", "folder"), [(63, ""), (4096, "/dev/shm")])
def test_the_fast_tests_have_their_files_in_memory_only_where_there_is_room(
    tmp_path: Path, free: int, folder: str
) -> None:
    df = tmp_path / "df"
    df.write_text(f"#!/bin/sh\necho head\necho shm 8192 1 {free} 1% /dev/shm\n")
    df.chmod(0o755)
    told = subprocess.run(
        ["make", "--dry-run", "--always-make", "fast"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    (line,) = [line for line in told.stdout.splitlines() if '-m "not slow and' in line]
    assert line.partition("PYTEST_DEBUG_TEMPROOT=")[2].partition(" ")[0] == folder


def test_only_the_java_that_cassandra_runs_on_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (tmp_path / "release").write_text('JAVA_VERSION="17.0.15"\n')
    assert packages.find_java() == tmp_path / "bin/java"
    (tmp_path / "release").write_text('JAVA_VERSION="21.0.1"\n')
    assert packages.find_java() != tmp_path / "bin/java"


def test_the_cache_folder_can_be_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT4ALL_ENGINES", str(tmp_path))
    assert packages.cache() == tmp_path
    monkeypatch.delenv("CHAT4ALL_ENGINES")
    assert packages.cache() == Path(__file__).parents[2] / ".engines"


def test_jars_are_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT4ALL_ENGINES", str(tmp_path))
    monkeypatch.setattr(packages, "tools", lambda *_: [Path("/bin/false"), Path("/j/bin/java")])
    packages.jars.cache_clear()
    with pytest.raises(Failed, match="kafka could not be fetched with Maven"):
        packages.jars("kafka")
    assert [path.name for path in tmp_path.iterdir()] == ["fetch.lock"]


def test_the_development_secret_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    secret = developer._secret(tmp_path / "secret-key")
    assert len(secret) == 64
    assert developer._secret(tmp_path / "secret-key") == secret
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600


def test_who_comes_second_to_a_lock_is_told_why(tmp_path: Path) -> None:
    for _ in range(2):  # it is free again afterwards
        with (
            packages.locked_or_failed(tmp_path / "lock", "it runs already"),
            pytest.raises(Failed, match="it runs already"),
            packages.locked_or_failed(tmp_path / "lock", "it runs already"),
        ):
            pass


def test_settings_are_exported_as_a_shell_reads_them() -> None:
    assert (
        developer.exports({"A": "1", "B": "it's two"}) == "export A=1\nexport B='it'\"'\"'s two'\n"
    )


def test_services_are_where_their_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, default in developer.PORTS.items():
        monkeypatch.delenv(setting, raising=False)
        assert developer.port(setting) == default
    monkeypatch.setenv("CHAT4ALL_METADATA_PORT", "9001")
    assert developer.port("CHAT4ALL_METADATA_PORT") == 9001


def test_locks_are_between_processes(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from engines.packages import locked\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True)"
    with packages.locked(tmp_path / "lock"):
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE
        )
        waiting = re.compile(rf"-> FLOCK +ADVISORY +WRITE {other.pid} ")
        until(lambda: waiting.search(Path("/proc/locks").read_text()) is not None)
        assert other.poll() is None
    with other:
        assert other.communicate(timeout=10)[0] == b"held\n"
