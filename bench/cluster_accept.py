"""Durable accepts a second of one gateway on Kafka, as a ratio to the floor that stores nothing.

The floor, the workload and the generator are those of `accept.py`. Kafka, Cassandra and the
metadata service run on the same machine, for floor and product alike; the router is another part.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import floor
from .accept import CONNECTIONS, RATE_MAX, headroom
from .cluster_place import Place
from .figures import Figure
from .filling import CHATS, PEOPLE, fill_people
from .quiet import Rounds, Say, quiet_rounds
from .running import HEALTH, BenchmarkFailed, free_ports, generate, module, process
from .workload import REQUESTS, send_requests


def measure(place: Place, folder: Path, rounds: int, seconds: float, say: Say) -> Rounds:
    """Run; `seconds` is the length of each load."""
    static, floor_port, port, metadata_port = free_ports(4)
    settings = place.services("accept", port, metadata_port, folder)
    place.migrate("accept")
    metadata = place.chat4all("metadata")
    with process(metadata, metadata_port, *HEALTH, settings=settings):
        pass
    tokens = fill_people(folder)
    floor_requests = send_requests([floor.token(name) for name in PEOPLE], CHATS)
    lists = math.ceil(RATE_MAX * seconds / REQUESTS)

    def load(what: str, at: int, requests: Sequence[str]) -> dict[str, float]:
        return generate(what, at, requests, connections=CONNECTIONS, seconds=seconds)

    def one_round() -> Mapping[str, Any]:
        theirs = load("the floor", floor_port, floor_requests)
        requests = [one for _ in range(lists) for one in send_requests(tokens, CHATS)]
        ours = load("the gateway", port, requests)
        if ours["rate"] * seconds > len(requests):
            raise BenchmarkFailed("the workload ran out of new ids: RATE_MAX is too low")
        answer = load("the static answer", static, floor_requests)
        say(
            f"floor {theirs['rate']:,.0f}/s, gateway {ours['rate']:,.0f}/s "
            f"({ours['rate'] / theirs['rate']:.2f} x), p99 {ours['p99']:.1f} ms"
        )
        return {"floor": theirs, "product": ours, "static": answer}

    with (
        process(metadata, metadata_port, *HEALTH, settings=settings),
        process(place.chat4all("gateway"), port, *HEALTH, settings=settings),
        process(module("floor", str(floor_port)), floor_port),
        process(module("static", str(static)), static),
    ):
        return quiet_rounds(one_round, rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    middle = rounds.medians
    ours, theirs, static = (middle[key]["rate"] for key in ("product", "floor", "static"))
    return [
        Figure(
            "kafka_accepts_to_floor",
            f"Accepts durable in Kafka, one gateway, {CONNECTIONS} connections",
            ours / theirs,
            1.2,
            True,
            ours=ours,
            theirs=theirs,
            of="/s",
        ),
        headroom("kafka_accept_generator_headroom", static, max(ours, theirs)),
    ]
