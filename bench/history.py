"""Pages of the history a second: to a floor, and in a large store to a small one.

A page has 50 messages; 16 readers, closed loop, read the busiest conversations, half the time the
newest page and half the time one from a random place. The product runs twice, on a small store and
on a large one, and takes turns with the floor.
"""

import http.client
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .figures import Figure
from .filling import READ, fill_people, fill_store
from .history_floor import PAGE, PATH
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
from .workload import SEED

READERS = 16
HEADROOM = 2.0
SMALL = 1_000
LARGE = 1_000_000
REQUESTS = 5_000


def measure(folder: Path, rounds: int, seconds: float, say: Say, *, large: int = LARGE) -> Rounds:
    """Run; `seconds` is the length of each load, `large` the messages in the large store."""
    static, floor_port, port, port_2, large_port, large_port_2 = free_ports(6)
    small_data, large_data = folder / "history-small", folder / "history-large"
    commands = {
        "small": (product(small_data, port, port_2, "--no-demo"), port),
        "large": (product(large_data, large_port, large_port_2, "--no-demo"), large_port),
    }
    requests: dict[str, list[str]] = {}
    for (name, (command, at)), data, size in zip(
        commands.items(), (small_data, large_data), (SMALL, large), strict=True
    ):
        with process(command, at, *HEALTH):
            pass
        say(f"filling a store with {size:,} messages")
        requests[name] = page_requests(fill_people(data), fill_store(data, size))
    at_floor = [f"GET {PATH} HTTP/1.1\r\nhost: localhost\r\n\r\n"]

    def one_round() -> Mapping[str, Any]:
        found = {
            "floor": generate(
                "the floor", floor_port, at_floor, connections=READERS, seconds=seconds
            ),
            **{
                name: generate(
                    f"the {name} store", at, requests[name], connections=READERS, seconds=seconds
                )
                for name, (_, at) in commands.items()
            },
            "static": generate(
                "the static answer", static, requests["small"], connections=READERS, seconds=seconds
            ),
        }
        rates = {name: one["rate"] for name, one in found.items()}
        say(
            f"floor {rates['floor']:,.0f}/s, product {rates['small']:,.0f}/s with {SMALL:,} and "
            f"{rates['large']:,.0f}/s with {large:,} messages "
            f"({rates['large'] / rates['floor']:.2f} x)"
        )
        return {**found, "messages": {"small": SMALL, "large": large}}

    with (
        process(*commands["small"], *HEALTH),
        process(*commands["large"], *HEALTH),
        process(module("history_floor", str(floor_port)), floor_port),
        process(module("history_static", str(static)), static),
    ):
        wanted = fields_of_a_page(floor_port, at_floor[0])
        for name, (_, at) in commands.items():
            for request in requests[name][:20]:
                if not set(wanted) <= set(fields_of_a_page(at, request)):
                    raise BenchmarkFailed("the product leaves out fields that the floor has")
        return quiet_rounds(one_round, rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars. The ratio to the floor is that of the large store."""
    middle = rounds.medians
    small, large, theirs, static = (
        middle[key]["rate"] for key in ("small", "large", "floor", "static")
    )
    sizes = middle["messages"]
    fastest = max(small, large, theirs)
    return [
        Figure(
            "history_to_floor",
            f"History pages, {READERS} readers, {sizes['large']:,.0f} messages",
            large / theirs,
            2.5,
            True,
            ours=large,
            theirs=theirs,
            of="/s",
        ),
        Figure(
            "history_small_to_large",
            f"History pages with {sizes['small']:,.0f} messages to {sizes['large']:,.0f}",
            small / large,
            1.3,
            False,
            ours=small,
            theirs=large,
            of="/s",
        ),
        Figure(
            "history_generator_headroom",
            "Generator's headroom over the fastest of them",
            static / fastest,
            HEADROOM,
            True,
            ours=static,
            theirs=fastest,
            of="/s",
        ),
    ]


def page_requests(tokens: list[str], newest: Mapping[Any, int]) -> list[str]:
    """Return requests for pages that are all full, in the busiest conversations."""
    chats = [chat for chat in READ if newest.get(chat, 0) >= PAGE]
    chance = random.Random(SEED)

    def request(number: int) -> str:
        chat = chance.choice(chats)
        place = f"&before={chance.randint(PAGE + 1, newest[chat] + 1)}" if number % 2 else ""
        return (
            f"GET /v1/conversations/{chat}/messages?limit={PAGE}{place} HTTP/1.1\r\n"
            f"host: localhost\r\nauthorization: Bearer {chance.choice(tokens)}\r\n\r\n"
        )

    return [request(number) for number in range(REQUESTS)]


def fields_of_a_page(port: int, request: str) -> list[str]:
    """Ask once; return the fields of the messages. Raises unless the page is full."""
    start, *headers = request.strip().split("\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            "GET", start.split()[1], headers=dict(line.split(": ", 1) for line in headers)
        )
        answer = connection.getresponse()
        page = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200 or len(page) != PAGE:
        raise BenchmarkFailed(f"a page came as status {answer.status} with {len(page)} entries")
    return sorted({field for message in page for field in message})
