"""A part of the data folder that is gone, before a start or under the running process."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.running import CHAT, Running, call, until
from tests.faults.test_operating import doctor
from tests.faults.test_router_process import is_there, router_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PARTS = ("log.db", "store.db", "metadata.db", "installation")
NOTICED_SECONDS = 5.0


def test_a_start_without_a_part_is_refused(tmp_path: Path) -> None:
    """`ana` stays who she is: nobody else can sign up as her."""
    running = Running(tmp_path).start()
    running.token("ana")
    running.kill()
    for name in PARTS:
        (tmp_path / "data" / name).rename(tmp_path / "aside")
        ended = running.run()
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"chat4all: {name} is missing in ")
        assert not (tmp_path / "data" / name).exists()
        assert doctor(running).returncode == 1
        (tmp_path / "aside").rename(tmp_path / "data" / name)
    shutil.copytree(tmp_path / "data", tmp_path / "copied" / "data")
    again = Running(tmp_path / "copied").start()
    try:
        again.token("ana")
    finally:
        again.kill()


def remove(name: str) -> Callable[[Path], None]:
    return lambda data: (data / name).unlink()


def remove_logs(data: Path) -> None:
    for path in data.glob("*.db-wal"):
        path.unlink()


def replace(data: Path) -> None:
    shutil.copyfile(data / "metadata.db", data / "copy")
    (data / "copy").rename(data / "metadata.db")


def remove_all(data: Path) -> None:
    shutil.rmtree(data)


def move(data: Path) -> None:
    data.rename(data.with_name("moved"))


@pytest.mark.parametrize(
    "harm",
    [*map(remove, PARTS), remove_logs, replace, remove_all, move],
    ids=[*PARTS, "write-ahead logs", "replaced", "all", "moved"],
)
def test_what_goes_under_the_running_process_is_noticed_within_seconds(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    running = Running(tmp_path).start()
    data = tmp_path / "data"
    try:
        token = running.token("ana")
        body = {"chat_id": CHAT, "content": "x"}

        def send() -> int:
            return call("POST", f"{running.gateway}/v1/messages", body, token)[0]

        assert send() == 202
        harm(data)
        began = time.monotonic()
        for service in (running.gateway, running.metadata):
            until(lambda url=service: call("GET", f"{url}/health/ready")[0] == 503)  # type: ignore[misc]
            _, ready = call("GET", f"{service}/health/ready")
            assert "while Chat4All was running" in str(ready)
        assert time.monotonic() - began < NOTICED_SECONDS
        # Whatever is asked for now is refused; no file comes back empty, and nothing is accepted.
        assert send() == 503
        stranger = {"username": "ana", "email": "x@example.com", "password": "long enough"}
        assert call("POST", f"{running.metadata}/v1/users", stranger)[0] == 503
        form = {"username": "ana", "password": "test"}
        assert call("POST", f"{running.gateway}/token", form=form)[0] == 503
        if harm is not replace:
            assert {path.name for path in data.glob("*.db")} <= {
                name for name in PARTS if harm is not move and harm is not remove_all
            }
    finally:
        running.kill()


def test_everything_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    """Where nothing was before, and where a folder with its files was open to everybody."""
    old = os.umask(0)
    try:
        (tmp_path / "data").mkdir(mode=0o755)
        running = Running(tmp_path).start()
        try:
            running.token("ana")
            _is_private(tmp_path / "data")
            router = router_of(running)
        finally:
            running.kill()
        until(lambda: not is_there(router))  # which may remove files as it ends
        assert _open_to_others(tmp_path / "data") == []
        for path in (tmp_path / "data", *(tmp_path / "data").iterdir()):
            if path.name != "secret-key":
                path.chmod(path.stat().st_mode | 0o055)
        assert doctor(running).returncode == 1
        running.start()
        try:
            _is_private(tmp_path / "data")
        finally:
            running.kill()
        assert doctor(running).returncode == 0
    finally:
        os.umask(old)


def _is_private(folder: Path) -> None:
    assert {"metadata.db-wal", "log.db-shm"} <= {path.name for path in folder.iterdir()}
    assert _open_to_others(folder) == []


def _open_to_others(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.iterdir()) if path.stat().st_mode & 0o077]
