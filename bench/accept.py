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
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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
SAMPLE_SECONDS = 0.02

Values = Mapping[str, Any]


class Lag:
    """How far the router is behind the log, from what is noted of the two."""

    def __init__(self) -> None:
        self.largest = self.at_end = 0
        self.level_after: float | None = None
        """Seconds from the last accept to the router being level with it; None until it is."""
        self._end = -1
        self._grew = 0.0

    def note(self, now: float, end: int, stored: int) -> None:
        """Take in the log's last offset and that of the store, `now` in seconds."""
        if end != self._end:
            self._end, self._grew, self.level_after = end, now, None
            self.at_end = end - stored
        self.largest = max(self.largest, end - stored)
        if stored >= end and self.level_after is None:
            self.level_after = now - self._grew

    def as_json(self) -> dict[str, float | None]:
        """Return it for machines."""
        return {
            "largest_lag": self.largest,
            "lag_at_end": self.at_end,
            "level_after_seconds": self.level_after,
        }


@contextlib.contextmanager
def watched(data: Path) -> Iterator[Lag]:
    """Note the lag in a thread; leaving the context waits until the router is level.

    Raises `BenchmarkFailed` when it does not come to be.
    """
    lag, loaded = Lag(), threading.Event()

    def watch() -> None:
        with (
            contextlib.closing(sqlite3.connect(data / "store.db")) as store,
            contextlib.closing(sqlite3.connect(data / "log.db")) as log,
        ):
            deadline = math.inf
            while time.monotonic() < deadline:
                (stored,) = store.execute('SELECT "offset" FROM followed_log').fetchone()
                # No row: nothing was ever appended.
                found = log.execute(
                    "SELECT seq FROM sqlite_sequence WHERE name = 'records'"
                ).fetchone()
                lag.note(time.monotonic(), found[0] if found else 0, stored)
                if loaded.is_set():
                    if lag.level_after is not None:
                        return
                    deadline = min(deadline, time.monotonic() + LEVEL_PATIENCE_SECONDS)
                time.sleep(SAMPLE_SECONDS)

    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(watch)
        try:
            yield lag
        finally:
            loaded.set()
        watching.result()
    if lag.level_after is None:
        raise BenchmarkFailed(
            f"the router is not level with the log {LEVEL_PATIENCE_SECONDS:.0f} s after the load: "
            "what was accepted is not throughput"
        )


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

    places = {"the floor": floor_port, "the product": port, "the static answer": static}

    def load(what: str, requests: list[str], rate: float | None = None) -> dict[str, float]:
        return generate(
            what, places[what], requests, connections=CONNECTIONS, seconds=seconds, rate=rate
        )

    def one_round() -> Values:
        at_floor = load("the floor", floor_requests)
        requests = new_requests(RATE_MAX)
        with watched(data) as lag:
            ours = load("the product", requests)
        if ours["rate"] * seconds > len(requests):
            raise BenchmarkFailed("the workload ran out of new ids: RATE_MAX is too low")
        answer = load("the static answer", floor_requests)
        half = ours["rate"] / 2
        say(
            f"floor {at_floor['rate']:,.0f}/s, product {ours['rate']:,.0f}/s "
            f"({ours['rate'] / at_floor['rate']:.2f} x), router at most {lag.largest:,} "
            "behind"
        )
        floor_open = load("the floor", floor_requests, half)
        requests = new_requests(half)
        with watched(data):
            ours_open = load("the product", requests, half)
        say(f"at {half:,.0f}/s: p99 {floor_open['p99']:.1f} and {ours_open['p99']:.1f} ms")
        return {
            "floor": at_floor,
            "product": ours,
            "router": lag.as_json(),
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
            "Router level with the log, worst round",
            level,
            LEVEL_SECONDS_MAX,
            False,
            "s",
        ),
        headroom("accept_generator_headroom", static, max(ours, theirs)),
    ]


def headroom(key: str, static: float, fastest: float) -> Figure:
    """Compare the generator's rate on a constant answer with the fastest of a run."""
    return Figure(
        key,
        "Generator's headroom over the faster of the two",
        static / fastest,
        HEADROOM,
        True,
        ours=static,
        theirs=fastest,
        of="/s",
    )
