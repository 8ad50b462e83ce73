"""`make engines`, on other ports than the developer's: it starts only engines that do not run."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import CassandraNode, Failed, PostgresServer, developer, free_port
from engines.processes import Process
from tests.faults.running import until

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240)]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in dir(developer):
        if name.endswith("_PORT"):
            monkeypatch.setattr(developer, name, free_port())
    monkeypatch.setattr(developer, "cache", lambda: tmp_path)
    yield
    developer.down()


def processes(folder: Path) -> dict[str, Process | None]:
    return {file.parent.name: Process.read(file) for file in folder.glob("data/*/pid")}


@pytest.mark.usefixtures("elsewhere")
def test_up_starts_what_is_down_and_leaves_alone_what_is_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot_be_had() -> None:
        raise Failed("it runs: nothing of it is needed")

    known = developer.up()
    # What the services need of each other, too.
    assert known["CHAT4ALL_METADATA_URL"].endswith(f":{developer.port('CHAT4ALL_METADATA_PORT')}")
    assert len(known["CHAT4ALL_SERVICE_CREDENTIAL"]) >= 32
    before = processes(tmp_path)
    assert set(before) == {"kafka", "cassandra", "postgres", "s3"}
    assert None not in before.values()

    assert before["kafka"] is not None
    before["kafka"].send(signal.SIGKILL)
    until(lambda: processes(tmp_path)["kafka"] is None)
    for running in (CassandraNode, PostgresServer):
        monkeypatch.setattr(running, "provide", cannot_be_had)
    assert [server.name for server in developer.not_running()] == ["kafka"]
    assert developer.up() == known
    after = processes(tmp_path)
    assert after["kafka"] not in (None, before["kafka"])
    assert after["cassandra"] == before["cassandra"]
    assert after["postgres"] == before["postgres"]

    developer.down()
    assert processes(tmp_path) == {}
    developer.down()  # nothing is left to do
    told = capfd.readouterr()
    assert told.out == ""
    assert "kafka: does not run" in told.err
