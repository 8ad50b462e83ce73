"""Durable accepts a second, as a ratio to the floor, and their latency at half that rate.

Each round: the floor, then the product, closed loop with 32 connections; the generator against the
static answer; then an open loop at half the product's rate for both. While the product runs the
router's lag is sampled, and after it the router must come level with the log.
"""

import contextlib
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import floor
from .figures import Figure
from .filling import CHATS, PEOPLE, fill_people
from .quiet import Rounds, Say, quiet_rounds
from .running import (
    HEALTH,
    BenchmarkFailed,
    free_ports,
    generate,
    module,
    process,
    product,
)
from .workload import REQUESTS, send_requests

CONNECTIONS = 32
RATE_MAX = 15_000
"""Accepts a second for which there are new ids: a repeated id is a duplicate and costs less."""

HEADROOM = 2.0
LEVEL_SECONDS_MAX = 1.0
LEVEL_PATIENCE_SECONDS = 60.0
SAMPLE_SECONDS = 0.05

Values = Mapping[str, Any]


def behind(data: Path) -> int:
    """Return how many accepted records the router has not stored yet."""
    with contextlib.closing(sqlite3.connect(data / "store.db")) as store:
        (stored,) = store.execute('SELECT "offset" FROM followed_log').fetchone()
    with contextlib.closing(sqlite3.connect(data / "log.db")) as log:
        (end,) = log.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
    return int(end - stored)


class Lag:
    """The router's lag, in records, sampled while the context lasts."""

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._done = threading.Event()
        self.largest = 0

    @contextlib.contextmanager
    def sampled(self) -> Iterator["Lag"]:
        """Sample in a thread."""
        thread = threading.Thread(target=self._sample)
        thread.start()
        try:
            yield self
        finally:
            self._done.set()
            thread.join()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            # A log in which nothing was ever written, or a file that is being opened: no lag yet.
            with contextlib.suppress(sqlite3.Error, TypeError):
                self.largest = max(self.largest, self._read())


def measure(folder: Path, rounds: int, seconds: float, say: Say) -> Rounds:
    """Run; `seconds` is the length of each load."""
    data = folder / "accept"
    static, floor_port, port, metadata_port = free_ports(4)
    command = product(data, port, metadata_port, "--no-demo")
    with process(command, port, *HEALTH):
        pass
    tokens = fill_people(data)
    floor_requests = send_requests([floor.token(name) for name in PEOPLE], CHATS)

    def new_requests(rate: float) -> list[str]:
        lists = math.ceil(rate * seconds / REQUESTS)
        return [request for _ in range(lists) for request in send_requests(tokens, CHATS)]

    def load(at: int, requests: list[str], rate: float | None = None) -> dict[str, float]:
        return generate(at, requests, connections=CONNECTIONS, seconds=seconds, rate=rate)

    def one_round() -> Values:
        at_floor = load(floor_port, floor_requests)
        ours, router = _product_round(data, port, new_requests(RATE_MAX), seconds)
        answer = load(static, floor_requests)
        half = ours["rate"] / 2
        say(
            f"floor {at_floor['rate']:,.0f}/s, product {ours['rate']:,.0f}/s "
            f"({ours['rate'] / at_floor['rate']:.2f} x), router at most {router['largest_lag']} "
            "behind"
        )
        floor_open = load(floor_port, floor_requests, half)
        ours_open = load(port, new_requests(half), half)
        _wait_until_level(data)
        say(f"at {half:,.0f}/s: p99 {floor_open['p99']:.1f} and {ours_open['p99']:.1f} ms")
        return {
            "floor": at_floor,
            "product": ours,
            "router": router,
            "static": answer,
            "floor_at_half": floor_open,
            "product_at_half": ours_open,
        }

    with (
        process(command, port, *HEALTH),
        process(module("floor", str(floor_port)), floor_port),
        process(module("static", str(static)), static),
    ):
        return quiet_rounds(one_round, rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    middle = rounds.medians
    ours, theirs, static = (middle[key]["rate"] for key in ("product", "floor", "static"))
    p99, floor_p99 = middle["product_at_half"]["p99"], middle["floor_at_half"]["p99"]
    level = max(one.values["router"]["level_after_seconds"] for one in rounds.kept)
    headroom = static / max(ours, theirs)
    return [
        Figure(
            "accepts_to_floor",
            f"Durable accepts, {CONNECTIONS} connections",
            ours / theirs,
            1.2,
            True,
            ours=ours,
            theirs=theirs,
            of="/s",
        ),
        Figure(
            "accept_p99_to_floor",
            "p99 of an accept at half that rate, open loop",
            p99 / floor_p99,
            3.0,
            False,
            ours=p99,
            theirs=floor_p99,
            of="ms",
        ),
        Figure(
            "router_level_seconds",
            "Router level with the log after the load, worst round",
            level,
            LEVEL_SECONDS_MAX,
            False,
            "s",
        ),
        Figure(
            "accept_generator_headroom",
            "Generator's headroom over the faster of the two",
            headroom,
            HEADROOM,
            True,
            ours=static,
            theirs=max(ours, theirs),
            of="/s",
        ),
    ]


def _product_round(
    data: Path, port: int, requests: list[str], seconds: float
) -> tuple[dict[str, float], dict[str, float]]:
    with Lag(lambda: behind(data)).sampled() as lag:
        found = generate(port, requests, connections=CONNECTIONS, seconds=seconds)
        at_end, took = behind(data), _wait_until_level(data)
    if found["rate"] * seconds > len(requests):
        raise BenchmarkFailed("the workload ran out of new ids: raise RATE_MAX in bench/accept.py")
    return found, {
        "largest_lag": max(lag.largest, at_end),
        "lag_at_end": at_end,
        "level_after_seconds": took,
    }


def _wait_until_level(data: Path) -> float:
    """Return the seconds until the router has stored all that was accepted."""
    started = time.monotonic()
    while lag := behind(data):
        if time.monotonic() - started > LEVEL_PATIENCE_SECONDS:
            raise BenchmarkFailed(
                f"the router is still {lag} messages behind {LEVEL_PATIENCE_SECONDS:.0f} s after "
                "the load: what was accepted is not throughput"
            )
        time.sleep(0.01)
    return time.monotonic() - started
