"""Under attack the product's memory stays flat and its other clients hardly notice.

The second is a comparison, not a measurement of speed: how long a well-behaved client waits, quiet
and attacked in turns on the same process, so that whatever else the machine does meets both alike.
A machine has moods: a good try before the third bad one is enough.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.running import CHAT, Running, environment
from tests.input.attacks import ATTACKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

REQUESTS = 200
"""In one window, quiet or attacked."""

ROUNDS = 4
TRIES = 3

GROWTH_MAX = 20 * 1024
"""KiB of resident memory, over all attacks."""

TOO_SHORT = 0.005
"""Seconds. Below this a p99 is the scheduler's: it lets a process wait for a tick of 4 ms while
others compute, on a machine that is quick otherwise too. Twice of it is nobody's concern."""


@contextmanager
def attacked(running: Running, name: str, token: str) -> Iterator[None]:
    """Attack as long as the context lasts."""
    command = [sys.executable, "-m", "tests.input.attacks", name, str(running.port), token]
    attack = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert attack.stdout is not None
    try:
        assert attack.stdout.readline() == b"ready\n"
        yield
        assert attack.poll() is None, "the attack has ended by itself"
    finally:
        attack.kill()
        attack.wait()
        attack.stdout.close()


def window(running: Running, token: str) -> list[float]:
    """Return how many seconds a client waited for each of its answers, by turns of three kinds."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"chat_id": CHAT, "content": "x"})
    page = f"/v1/conversations/{CHAT}/messages?limit=10"
    turns = [("POST", "/v1/messages", body, 202), ("GET", page, None, 200)]
    try:
        for n in range(REQUESTS):
            method, path, data, status = turns[n % len(turns)]
            started = time.perf_counter()
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            answer.read()
            found.append(time.perf_counter() - started)
            assert answer.status == status
    finally:
        connection.close()
    return found


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


def resident(running: Running) -> int:
    """Return the KiB that the process and its children have in memory."""
    assert running.process is not None
    first = running.process.pid
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    total = 0
    for pid in (str(first), *children):
        status = Path(f"/proc/{pid}/status").read_text()
        total += next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line)
    return total


@pytest.mark.alone
@pytest.mark.parametrize("name", ATTACKS)
def test_other_clients_hardly_notice(running: Running, name: str) -> None:
    token = running.token("bruno")
    window(running, token)
    ratios = list[float]()
    while not ratios or ratios[-1] > 2:
        assert len(ratios) < TRIES, f"p99 against quiet: {ratios}"
        quiet: list[float] = []
        loud: list[float] = []
        for _ in range(ROUNDS):
            quiet += window(running, token)
            with attacked(running, name, token):
                loud += window(running, token)
        ratios.append(p99(loud) / max(p99(quiet), TOO_SHORT))
        print(name, f"p99 quiet {p99(quiet) * 1e3:.1f} ms, attacked {p99(loud) * 1e3:.1f} ms")


def test_memory_stays_flat(running: Running) -> None:
    token = running.token("bruno")
    for _ in range(5):  # what every process grows by when it is first used
        window(running, token)
    before = resident(running)
    for name in ATTACKS:
        with attacked(running, name, token):
            for _ in range(4):
                window(running, token)
                assert resident(running) - before < GROWTH_MAX, name
        print(name, resident(running) - before, "KiB")
    window(running, token)
    assert resident(running) - before < GROWTH_MAX
