"""SIGKILL and SIGTERM under load, on the real process and the real disk."""

import signal
import time
from pathlib import Path

import pytest

from tests.checker import check_history
from tests.faults.clients import acknowledged, check, clients_of
from tests.faults.running import Running, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_nothing_is_lost_doubled_or_moved_by_20_kills(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    clients = clients_of(running)
    for client in clients:
        client.start()
    try:
        for _ in range(20):
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
        assert acknowledged(clients) >= 20 * 50
    finally:
        running.kill()


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


def test_the_checker_sees_what_it_is_for() -> None:
    def message(seq: int, sender: str = "ana") -> dict[str, object]:
        return {"seq": seq, "message_id": f"{sender}{seq}", "sender_id": sender}

    good = [message(1), message(2), message(3, "bruno")]
    acknowledged = {"ana": ["ana1", "ana2"], "bruno": ["bruno3"]}
    check_history(acknowledged, [good, good])
    for readings, sent in [
        ([good, good[:2]], acknowledged),
        ([[*good, message(5)]], acknowledged),
        ([good], {"ana": ["ana1", "ana2", "lost"]}),
        ([good], {"ana": ["ana2", "ana1"]}),
        ([[*good, good[0] | {"seq": 4}]], acknowledged),
    ]:
        with pytest.raises(AssertionError):
            check_history(sent, readings)
