"""SIGKILL and SIGTERM under load, on the real process and the real disk."""

import signal
import time
from pathlib import Path

import pytest

from tests.faults import launch
from tests.faults.clients import acknowledged, check, clients_of
from tests.faults.running import PRODUCT, Running, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.endurance)])
def test_nothing_is_lost_doubled_or_moved_by_kills(tmp_path: Path, kills: int) -> None:
    running = Running(tmp_path, command=PRODUCT).start()
    clients = clients_of(running)
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            before = acknowledged(clients)
            # A different amount of work each time, so that the kill meets another moment of it.
            until(lambda n=before + 50: acknowledged(clients) >= n)  # type: ignore[misc]
            running.kill()
            running.start()
        before = acknowledged(clients)
        until(lambda: acknowledged(clients) > before)
    finally:
        for client in clients:
            client.stop()
    try:
        check(running, clients)
        assert acknowledged(clients) >= kills * 50
    finally:
        running.kill()


def test_a_router_that_swaps_contents_is_caught_under_load(tmp_path: Path) -> None:
    running = Running(tmp_path, command=launch.command("contents_swapped")).start()
    clients = clients_of(running)
    for client in clients:
        client.start()
    try:
        until(lambda: acknowledged(clients) >= 100)
        running.kill()
        running.start()
        before = acknowledged(clients)
        until(lambda: acknowledged(clients) >= before + 100)
    finally:
        for client in clients:
            client.stop()
    try:
        with pytest.raises(AssertionError, match="has another content"):
            check(running, clients)
    finally:
        running.kill()


@pytest.mark.alone
def test_sigterm_under_load_loses_nothing_and_ends_in_time(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    clients = clients_of(running)
    for client in clients:
        client.start()
    try:
        until(lambda: acknowledged(clients) >= 500)
        assert running.process is not None
        running.signal(signal.SIGTERM)
        started = time.monotonic()
        assert running.process.wait(30) == 0
        assert time.monotonic() - started < 5
        assert '"stopped"' in running.log()
        assert '"ERROR"' not in running.log()
    finally:
        for client in clients:
            client.stop()
    running.start()
    try:
        check(running, clients)
    finally:
        running.kill()
