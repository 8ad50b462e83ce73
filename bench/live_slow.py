"""A reader that stops reading, and the others: the p99 of a delivery to these, with and without.

In a group 100 messages a second are said, open loop, to 40 who read and to ten who read as well, or
who have stopped. Those the server closes with 4408, about half way; where it delivers several
messages at once, as it does when it is short of processor time, only after 30 s.
"""

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from .figures import Figure
from .live_people import GROUPED, post
from .live_running import Clients
from .quiet import Rounds, Say
from .running import BenchmarkFailed, environment, module

READERS = 40
STOPPED = 10
RATE = 100
REPEATS = 2
"""In each round; five rounds have ten."""

BYTES = 800_000
"""Of a whole load to one socket: twice what the product and the system hold for it."""

LENGTH_MAX = 9_900


class Stopped:
    """The process of those who stop reading; `reads`: they do not."""

    def __init__(self, port: int, sockets: Sequence[str], *, reads: bool) -> None:
        self._job = {"host": "127.0.0.1", "port": port, "sockets": sockets, "reads": reads}

    def __enter__(self) -> "Stopped":
        self._process = subprocess.Popen(
            module("live_stopped"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        if self._says(json.dumps(self._job)) != "ready\n":
            self.__exit__()
            raise BenchmarkFailed("those who stop reading were not connected")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def closed(self) -> int:
        """Let them read on; return how many the server has closed."""
        return int(self._says("") or 0)

    def _says(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def slow_readers(port: int, tokens: Sequence[str], seconds: float, say: Say) -> Mapping[str, Any]:
    """Measure one round; `tokens` are those of the group."""
    others, stopping = tokens[:READERS], tokens[READERS : READERS + STOPPED]
    messages = int(RATE * seconds)
    padding = "x" * min(LENGTH_MAX, BYTES // messages)
    requests = [post(token, GROUPED, padding) for token in others]

    def load(*, reads: bool) -> dict[str, float]:
        with (
            Stopped(port, stopping, reads=reads) as stopped,
            Clients(
                "the product",
                port=port,
                sockets=others,
                requests=requests,
                messages=messages,
                deliveries=len(others),
                rate=RATE,
            ) as clients,
        ):
            return {**clients.result(), "closed": stopped.closed()}

    repeats = []
    for number in range(REPEATS):
        # In turns: whatever comes second may find it warmer.
        with_all = load(reads=True) if number % 2 == 0 else None
        with_stopped = load(reads=False)
        repeats.append((with_all or load(reads=True), with_stopped))
    ratios = [ours["p99"] / theirs["p99"] for theirs, ours in repeats]
    say(
        "readers that stop: p99 of the others "
        + ", ".join(f"{b['p99']:.1f} instead of {a['p99']:.1f} ms" for a, b in repeats)
    )
    return {
        "ratios": ratios,
        "reading_p99": statistics.median(theirs["p99"] for theirs, _ in repeats),
        "stopped_p99": statistics.median(ours["p99"] for _, ours in repeats),
        "closed": sum(ours["closed"] for _, ours in repeats),
    }


def slow_figure(rounds: Rounds) -> Figure:
    """Compare the median of all repeats with the bar."""
    middle = rounds.medians["slow"]
    return Figure(
        "stopped_readers_p99",
        f"p99 of a delivery to others while {STOPPED} of {READERS + STOPPED} stop reading",
        statistics.median(ratio for one in rounds.kept for ratio in one.values["slow"]["ratios"]),
        1.2,
        False,
        ours=middle["stopped_p99"],
        theirs=middle["reading_p99"],
        of="ms",
    )
