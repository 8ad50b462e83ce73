"""How long the product takes to be healthy, and the memory that it has when nobody asks anything.

Both at a first start, in a new folder with its demonstration data, and at a later one. Memory is
read 5 s after the start without a request; as the sum of PSS over all its processes.
"""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .figures import Figure
from .machine import memory_of
from .quiet import Rounds, Say, quiet_rounds
from .running import HEALTH, BenchmarkFailed, free_ports, process, product

IDLE_SECONDS = 5.0
POLL_SECONDS = 0.005
HEALTHY_SECONDS_MAX = 1.0
IDLE_MIB_MAX = 90.0


def measure(folder: Path, rounds: int, say: Say, *, idle_seconds: float = IDLE_SECONDS) -> Rounds:
    """Run. A first, unmeasured start compiles what was never run on this machine."""
    data = folder / "start"

    def one_start(idle: float) -> dict[str, Any]:
        port, metadata_port = free_ports(2)
        command = product(data, port, metadata_port)
        started = time.perf_counter()
        with process(command, port, *HEALTH, poll_seconds=POLL_SECONDS) as running:
            healthy = time.perf_counter() - started
            time.sleep(idle)
            memory = memory_of(running.pid)
        return {"healthy_seconds": healthy, "memory": memory}

    def one_round() -> Mapping[str, Any]:
        shutil.rmtree(data)
        found = {"first": one_start(idle_seconds), "later": one_start(idle_seconds)}
        said = [
            f"{name} start healthy after {one['healthy_seconds']:.2f} s, then "
            f"{one['memory']['pss_mib']:.0f} MiB"
            for name, one in found.items()
        ]
        say("; ".join(said))
        return found

    one_start(0)
    rounds_done = quiet_rounds(one_round, rounds, say)
    if not rounds_done.medians["first"]["memory"]["pss_mib"]:
        raise BenchmarkFailed("this system does not say how much memory a process has")
    return rounds_done


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    middle = rounds.medians
    return [
        *(
            Figure(
                f"healthy_seconds_{which}",
                f"Start to healthy, {which} start",
                middle[which]["healthy_seconds"],
                HEALTHY_SECONDS_MAX,
                False,
                "s",
            )
            for which in ("first", "later")
        ),
        *(
            Figure(
                f"idle_mib_{which}",
                f"Idle memory (PSS), {which} start",
                middle[which]["memory"]["pss_mib"],
                IDLE_MIB_MAX,
                False,
                "MiB",
            )
            for which in ("first", "later")
        ),
    ]
