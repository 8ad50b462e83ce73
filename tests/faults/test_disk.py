"""A disk that is full, read-only or locked: no false 202, no hang, and recovery without help."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults import launch, troubles
from tests.faults.clients import Client, acknowledged, refused, talking
from tests.faults.running import CHAT, PRODUCT, Running, call, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def check_refusals(
    running: Running, clients: list[Client], token: str, *, all_of_them: bool
) -> None:
    """While the log cannot be written to: sending is refused, reading goes on."""
    until(lambda: min(client.refused for client in clients) > 0)
    accepted = acknowledged(clients)
    before = refused(clients)
    until(lambda: refused(clients) >= before + len(clients))
    assert len(running.history(token)) >= 100
    if all_of_them:
        assert acknowledged(clients) == accepted
        status, ready = call("GET", f"{running.gateway}/health/ready")
        assert status == 503
        assert ready["dependencies"]["log"]["error"], ready


def check_waiting_router(running: Running, clients: list[Client], token: str, cause: str) -> None:
    """While the store cannot be written to: sending goes on, the router waits and says why."""

    def trouble() -> str:
        _, ready = call("GET", f"{running.gateway}/health/ready")
        return str(ready["dependencies"]["router"]["error"])

    until(lambda: cause in trouble())
    stored = len(running.history(token))
    before = acknowledged(clients)
    until(lambda: acknowledged(clients) >= before + 100)
    assert len(running.history(token)) == stored
    assert refused(clients) == 0


def test_no_block_left(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    with talking(running) as clients:
        token = running.token("bruno")
        with troubles.size_limit(running):
            check_refusals(running, clients, token, all_of_them=True)


def test_a_full_disk(tmp_path: Path) -> None:
    with troubles.small_disk(tmp_path / "data") as disk:
        running = Running(tmp_path).start()
        with talking(running) as clients:
            token = running.token("bruno")
            # What was allocated before may still be written to, so that some are accepted.
            with troubles.size_limit(running) if disk is None else troubles.full(disk):
                check_refusals(running, clients, token, all_of_them=False)


def test_a_full_disk_of_the_store_alone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        disk = stack.enter_context(troubles.small_disk(tmp_path / "disk"))
        data = tmp_path / "data"
        if disk is None:
            running = Running(tmp_path, command=launch.command("full_store")).start()
        else:
            data.mkdir(0o700)
            (data / "store.db").symlink_to(disk / "store.db")
            running = Running(tmp_path).start()
        with talking(running) as clients:
            token = running.token("bruno")
            with full_store(data) if disk is None else troubles.full(disk):
                check_waiting_router(running, clients, token, "store.db: database or disk is full")


@contextmanager
def full_store(data: Path) -> Iterator[None]:
    """See `launch.full_store`: where nothing can be mounted."""
    (data / "full").touch()
    try:
        yield
    finally:
        (data / "full").unlink()


def test_a_folder_that_becomes_read_only(tmp_path: Path) -> None:
    product = troubles.ordinary(PRODUCT)
    running = Running(tmp_path, command=product).start()
    with talking(running) as clients:
        token = running.token("bruno")
        with troubles.read_only(tmp_path / "data"):
            # Files that are open stay so: nothing is noticed until an error has them opened anew.
            with troubles.size_limit(running):
                check_refusals(running, clients, token, all_of_them=True)
            before = refused(clients)
            until(lambda: refused(clients) >= before + 3 * len(clients))
            check_refusals(running, clients, token, all_of_them=True)


def test_a_locked_log(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    with talking(running) as clients:
        token = running.token("bruno")
        with troubles.locked(tmp_path / "data" / "log.db"):
            check_refusals(running, clients, token, all_of_them=True)


def test_a_locked_store(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    with talking(running) as clients:
        token = running.token("bruno")
        with troubles.locked(tmp_path / "data" / "store.db"):
            check_waiting_router(running, clients, token, "store.db: database is locked")


def test_a_locked_directory(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    form = {"username": "bruno", "password": "test"}
    with talking(running) as clients:
        token = running.token("bruno")
        with troubles.locked(tmp_path / "data" / "metadata.db"):
            status, problem = call("POST", f"{running.gateway}/token", form=form)
            assert status == 503
            assert problem["detail"] == "metadata.db: database is locked"
            before = acknowledged(clients)
            until(lambda: acknowledged(clients) >= before + 100)
            status, _ = call(
                "GET", f"{running.gateway}/v1/conversations/{CHAT}/messages", token=token
            )
            assert status == 200
        until(lambda: call("POST", f"{running.gateway}/token", form=form)[0] == 200, seconds=10)
        assert refused(clients) == 0
