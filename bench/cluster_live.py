"""Live delivery on Kafka and Cassandra, with one gateway, one router and one metadata service.

- From POST to the frame at the recipient, open loop, 20 pairs, at 100 and at 1,000 messages a
  second: the p99 to that of a floor that sends each message through a topic, a bare insert and a
  second topic (`cluster_live_floor.py`).
- A herd: 1,000 people of a group connect at once and resume, each 20 messages behind; and how many
  reads of the store each of them costs.
"""

import itertools
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cluster_place import Place
from .figures import Figure, percentiles
from .filling import fill_directory
from .live_people import (
    BEHIND,
    CROWD,
    CROWDED,
    NAMES,
    busy_members,
    chat,
    pair_posts,
    pair_recipients,
    post,
)
from .live_running import Clients
from .quiet import Rounds, Say, quiet_rounds
from .running import HEALTH, call, free_ports, module, process

RATES = {"slow": 100, "fast": 1_000}
"""Messages a second."""

READS_MAX = 4.0
"""Reads of the store for each who resumes in one conversation: its head, a page, what others have
read, which is kept, and what oneself has read."""

READ = "chat4all_store_read_seconds_count"


def measure(place: Place, folder: Path, rounds: int, seconds: float, say: Say) -> Rounds:
    """Run; `seconds` is the length of each load."""
    port, metadata_port, router_port = free_ports(3)
    data = folder / "live"
    data.mkdir()
    settings = place.services("live", port, metadata_port, data) | {
        "CHAT4ALL_ROUTER_PORT": str(router_port)
    }
    place.migrate("live")
    metadata = place.chat4all("metadata")
    with process(metadata, metadata_port, *HEALTH, settings=settings):
        pass
    tokens = fill_directory(data, NAMES[:CROWD], busy_members())

    def pairs(rate: int) -> Mapping[str, Mapping[str, float]]:
        messages = int(rate * seconds)
        chain = module("cluster_live_floor", str(rate), str(messages))
        floor = percentiles(call(chain, settings=settings)["latencies_ms"])
        with Clients(
            "the gateway",
            port=port,
            sockets=pair_recipients(tokens),
            requests=pair_posts(tokens),
            messages=messages,
            deliveries=1,
            rate=rate,
        ) as clients:
            ours = clients.result()
        say(
            f"at {rate:,}/s: floor p50 {floor['p50']:.1f}, p99 {floor['p99']:.1f} ms; "
            f"p50 {ours['p50']:.1f}, p99 {ours['p99']:.1f} ms ({ours['p99'] / floor['p99']:.2f} x)"
        )
        return {"floor": floor, "product": ours}

    heads = itertools.count(BEHIND, BEHIND)

    def herd() -> Mapping[str, Any]:
        with Clients(
            "the gateway",
            port=port,
            sockets=tokens[:1],
            requests=[post(tokens[0], CROWDED)],
            messages=BEHIND,
            deliveries=1,
        ) as clients:
            clients.result()
        positions = {str(chat(CROWDED)): f"{next(heads) - BEHIND}.0"}
        before = reads(port)
        with Clients("the gateway", port=port, sockets=tokens, positions=positions) as clients:
            resumed = percentiles(clients.resumed_ms)
        each = (reads(port) - before) / CROWD
        say(
            f"a herd of {CROWD:,}: p99 to `resumed` {resumed['p99']:,.0f} ms, {each:.2f} reads each"
        )
        return {**resumed, "reads_each": each}

    def one_round() -> Mapping[str, Any]:
        return {**{name: pairs(rate) for name, rate in RATES.items()}, "herd": herd()}

    with (
        process(metadata, metadata_port, *HEALTH, settings=settings),
        process(place.chat4all("router"), router_port, *HEALTH, settings=settings),
        process(place.chat4all("gateway"), port, *HEALTH, settings=settings),
    ):
        return quiet_rounds(one_round, rounds, say)


def reads(port: int) -> float:
    """Return how many reads of the store a gateway has made."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(READ))


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    middle = rounds.medians
    found = []
    for name, rate in RATES.items():
        ours, theirs = middle[name]["product"]["p99"], middle[name]["floor"]["p99"]
        title = f"p99 of a delivery on Kafka and Cassandra at {rate:,}/s"
        found.append(
            Figure(
                f"cluster_live_p99_{name}",
                title,
                ours / theirs,
                3.0,
                False,
                ours=ours,
                theirs=theirs,
                of="ms",
            )
        )
    herd = f"of {CROWD:,} who connect at once, {BEHIND} messages behind"
    return [
        *found,
        Figure(
            "cluster_herd_p99",
            f"p99 to `resumed` {herd}",
            middle["herd"]["p99"],
            5_000.0,
            False,
            "ms",
        ),
        Figure(
            "cluster_herd_reads",
            f"Reads of the store for each {herd}",
            middle["herd"]["reads_each"],
            READS_MAX,
            False,
            "reads",
        ),
    ]
