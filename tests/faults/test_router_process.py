"""The router's process: it and its gateway's end together, and it reports its troubles."""

import json
import os
import signal
import sqlite3
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.checker import Sent, check_history
from tests.faults.running import CHAT, Running, call, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def router_of(running: Running) -> int:
    """Return the process id of the router: the only child."""
    assert running.process is not None
    parent = running.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (child,) = filter(is_there, map(int, children))  # a shell may have left it one that has ended
    return child


def is_there(pid: int) -> bool:
    """Say whether a process runs; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def send(running: Running, token: str, count: int, sent: Sent | None = None) -> Sent:
    sent = sent or Sent()
    for _ in range(count):
        body = {"chat_id": CHAT, "content": f"message {len(sent.acknowledged)}"}
        status, answer = call("POST", f"{running.gateway}/v1/messages", body, token)
        assert status == 202, answer
        sent.is_accepted(body["content"], str(answer["message_id"]))
    return sent


def check(running: Running, token: str, sent: Sent) -> None:
    until(lambda: len(running.history(token)) >= len(sent.acknowledged))
    check_history(CHAT, {"bruno": sent}, [running.history(token) for _ in range(2)])


def test_when_the_router_is_killed_the_gateway_ends_too_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    running = Running(tmp_path).start()
    try:
        token = running.token("bruno")
        sent = send(running, token, 30)
        os.kill(router_of(running), signal.SIGKILL)
        assert running.process is not None
        assert running.process.wait(10) == 1
        assert "the router's process has ended" in running.log()
        running.start()
        check(running, token, sent)
    finally:
        running.kill()


def test_when_the_gateway_is_killed_the_router_ends_too(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    try:
        token = running.token("bruno")
        sent = send(running, token, 30)
        router = router_of(running)
        running.kill()
        until(lambda: not is_there(router), seconds=10)
        running.start()
        check(running, token, sent)
    finally:
        running.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_reaches_the_gateway_first(
    tmp_path: Path, number: signal.Signals
) -> None:
    running = Running(tmp_path, start_new_session=True).start()
    try:
        token = running.token("bruno")
        sent = send(running, token, 30)
        assert running.process is not None
        os.killpg(running.process.pid, number)
        assert running.process.wait(10) == 0
        assert '"CRITICAL"' not in running.log()
        running.start()
        check(running, token, sent)
    finally:
        running.kill()


def test_a_start_that_is_refused_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    running = Running(tmp_path)
    assert running.run().returncode == 1
    mine = str(tmp_path / "data")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert not [line for line in listed.stdout.splitlines() if mine in line]


def test_readiness_says_why_the_router_has_stopped_and_sending_goes_on(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    try:
        token = running.token("bruno")
        sent = send(running, token, 3)
        check(running, token, sent)
        later = json.dumps({"type": "chat_message", "v": 99}).encode()
        db = sqlite3.connect(tmp_path / "data" / "log.db", isolation_level=None)
        db.execute("INSERT INTO records (key, value, appended_ms) VALUES (?, ?, 0)", (CHAT, later))
        db.close()

        def trouble() -> str:
            status, ready = call("GET", f"{running.gateway}/health/ready")
            return str(ready["dependencies"]["router"]["error"]) if status == 503 else ""

        until(lambda: "a record of version 99 is in the log" in trouble())
        assert send(running, token, 1)
        assert len(running.history(token)) == 3
    finally:
        running.kill()


def store_reads(running: Running) -> int:
    """Return how many pages the gateway has read from the store."""
    with urllib.request.urlopen(f"{running.gateway}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    name = 'chat4all_store_read_seconds_count{operation="page"}'
    return round(sum(float(line.split()[-1]) for line in lines if line.startswith(name)))


def is_cached(running: Running, token: str) -> bool:
    """Say whether of two equal requests the second was answered without the store."""
    running.history(token)
    before = store_reads(running)
    running.history(token)
    return store_reads(running) == before


def test_while_the_router_is_frozen_no_page_is_answered_from_memory(tmp_path: Path) -> None:
    running = Running(tmp_path).start()
    try:
        token = running.token("bruno")
        sent = send(running, token, 3)
        check(running, token, sent)
        until(lambda: is_cached(running, token))
        router = router_of(running)
        os.kill(router, signal.SIGSTOP)
        until(lambda: not is_cached(running, token))
        assert not is_cached(running, token)
        send(running, token, 2, sent)
        os.kill(router, signal.SIGCONT)
        check(running, token, sent)
        until(lambda: is_cached(running, token))
        check(running, token, sent)
    finally:
        running.kill()
