"""Live delivery: one message to a thousand sockets, from POST to the frame, and idle sockets.

- Messages in a group of 1,000 connected people: deliveries a second, to those of a bare loop over
  as many sockets of the same class.
- From POST to the frame at the recipient, open loop, 20 pairs: the p99 to that of a floor that
  syncs twice; at 100 and at 1,000 messages a second.
- A group of 100 connected people in which 100 messages a second are said: the p99 of a delivery.
- A herd: 1,000 people of a group connect at once and resume, each 20 messages behind.
- Readers that stop reading: the p99 of a delivery to the others, to that while all read.
- Accepts a second while all recipients are connected, and while others are, to those of nobody.
- What an idle socket of somebody in ten conversations takes of memory.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import Figure, percentiles
from .filling import fill_directory
from .live_accept import accept_figures, accepts
from .live_people import (
    BEHIND,
    CROWD,
    CROWDED,
    FIRST_PAIR,
    GROUP,
    GROUPED,
    IDLE,
    IDLE_IN,
    NAMES,
    PAIRS,
    busy_members,
    chat,
    idle_members,
    pair_posts,
    pair_recipients,
    post,
)
from .live_running import Clients
from .live_slow import slow_figure, slow_readers
from .machine import memory_of
from .quiet import Rounds, Say, quiet_rounds
from .running import HEALTH, free_ports, module, process, product

CROWD_MESSAGES = 100

Values = Mapping[str, Any]


def measure(folder: Path, rounds: int, seconds: float, say: Say, *, idle: int = IDLE) -> Rounds:
    """Run; `seconds` is the length of each load, `idle` how many sockets are idle."""
    data = folder / "live"
    port, metadata_port, floor_port, loop_port = free_ports(4)
    command = product(data, port, metadata_port, "--no-demo")
    with process(command, port, *HEALTH):
        pass
    tokens = fill_directory(data, NAMES, busy_members() | idle_members())
    syncs = folder / "live-floor"
    syncs.mkdir()

    def deliver(
        what: str,
        to: int,
        sockets: Sequence[str],
        requests: Sequence[str],
        messages: int,
        deliveries: int,
        rate: float | None = None,
    ) -> dict[str, float]:
        with Clients(
            what,
            port=to,
            sockets=sockets,
            requests=requests,
            messages=messages,
            deliveries=deliveries,
            rate=rate,
        ) as clients:
            return clients.result()

    def crowd(what: str, to: int) -> dict[str, float]:
        requests = [post(tokens[0], CROWDED)]
        return deliver(what, to, tokens[:CROWD], requests, CROWD_MESSAGES, CROWD)

    heads = itertools.count(CROWD_MESSAGES, CROWD_MESSAGES)

    def herd() -> dict[str, float]:
        positions = {str(chat(CROWDED)): f"{next(heads) - BEHIND}.0"}
        with Clients("the product", port=port, sockets=tokens[:CROWD], positions=positions) as all_:
            return percentiles(all_.resumed_ms)

    def pairs(rate: float) -> tuple[dict[str, float], dict[str, float]]:
        messages = int(rate * seconds)
        numbers = [str(n) for n in range(PAIRS)]
        theirs = [post(number, FIRST_PAIR) for number in numbers]
        at_floor = deliver("the floor", floor_port, numbers, theirs, messages, 1, rate)
        requests = pair_posts(tokens)
        ours = deliver("the product", port, pair_recipients(tokens), requests, messages, 1, rate)
        say(f"at {rate:,.0f}/s: p99 {at_floor['p99']:.1f} and {ours['p99']:.1f} ms")
        return at_floor, ours

    def one_round() -> Values:
        loop = crowd("the bare loop", loop_port)
        many = crowd("the product", port)
        say(f"to {CROWD:,}: loop {loop['rate']:,.0f}/s, product {many['rate']:,.0f}/s")
        resumed = herd()
        say(f"a herd of {CROWD:,}: p99 to `resumed` {resumed['p99']:,.0f} ms")
        floor, ours = pairs(100)
        floor_fast, ours_fast = pairs(1_000)
        messages = int(100 * seconds)
        grouped = deliver(
            "the product",
            port,
            tokens[:GROUP],
            [post(token, GROUPED) for token in tokens[:GROUP]],
            messages,
            GROUP,
            100,
        )
        say(f"in a group of {GROUP}: p99 {grouped['p99']:.1f} ms")
        slow = slow_readers(port, tokens[:GROUP], seconds, say)
        pairs_of = [(chat(FIRST_PAIR + n), tokens[2 * n : 2 * n + 2]) for n in range(PAIRS // 2)]
        accepted = accepts(port, pairs_of, tokens[2 * PAIRS : 2 * PAIRS + CROWD], seconds, say)
        return {
            "loop": loop,
            "crowd": many,
            "herd": resumed,
            "floor": floor,
            "pairs": ours,
            "floor_fast": floor_fast,
            "pairs_fast": ours_fast,
            "group": grouped,
            "slow": slow,
            "accepts": accepted,
        }

    def idle_kilobytes() -> float:
        with process(command, port, *HEALTH) as running:
            before: float = memory_of(running.pid)["processes"][0]["rss_mib"]
            with Clients("the product", port=port, sockets=tokens[:idle]):
                after: float = memory_of(running.pid)["processes"][0]["rss_mib"]
        say(f"{idle:,} idle sockets: {before:.0f} MiB, {after:.0f} MiB")
        return (after - before) * 1024 / idle

    each = idle_kilobytes()
    with (
        process(command, port, *HEALTH),
        process(module("live_floor", str(floor_port), str(syncs)), floor_port),
        process(module("live_loop", str(loop_port)), loop_port),
    ):
        return quiet_rounds(lambda: {**one_round(), "idle_socket_kb": each}, rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    middle = rounds.medians

    def p99(key: str, title: str, bar: float, ours: str, floor: str) -> Figure:
        a, b = middle[ours]["p99"], middle[floor]["p99"]
        return Figure(key, title, a / b, bar, False, ours=a, theirs=b, of="ms")

    many, loop = middle["crowd"]["rate"], middle["loop"]["rate"]
    return [
        Figure(
            "crowd_to_loop",
            f"One message to {CROWD:,} sockets, deliveries",
            many / loop,
            0.8,
            True,
            ours=many,
            theirs=loop,
            of="/s",
        ),
        p99("live_p99_to_floor", "p99 of a delivery at 100/s", 2.0, "pairs", "floor"),
        p99("live_p99_fast", "p99 of a delivery at 1,000/s", 4.0, "pairs_fast", "floor_fast"),
        Figure(
            "herd_p99",
            f"p99 to `resumed` of {CROWD:,} who connect at once, {BEHIND} messages behind",
            middle["herd"]["p99"],
            5_000.0,
            False,
            "ms",
        ),
        Figure(
            "group_p99",
            f"p99 of a delivery in a group of {GROUP}, 100 messages/s",
            middle["group"]["p99"],
            50.0,
            False,
            "ms",
        ),
        Figure(
            "idle_socket_kb",
            f"An idle socket of somebody in {IDLE_IN} conversations",
            middle["idle_socket_kb"],
            15.0,
            False,
            "KB",
        ),
        slow_figure(rounds),
        *accept_figures(middle["accepts"]),
    ]
