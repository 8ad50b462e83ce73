"""What people cost: an accept's membership check, a list of conversations, a flood of sign-ins.

- The processor time of one check of who is in a conversation, as a share of that of an accept.
- The p99 of `GET /v1/conversations?limit=50` of somebody in 1,000 conversations, one request at a
  time, to that of a floor that reads the same rows.
- The p99 of an accept at half of the full rate, open loop, while others sign in without a pause
  (bcrypt, cost 12), to the p99 of the same load without them.
"""

import asyncio
import contextlib
import os
import random
import sqlite3
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chat4all.adapters.caching import OutboxFollower, cached_members
from chat4all.adapters.sql import Database, SqlDirectory, SqlOutbox
from chat4all.domain.ids import ConversationId
from chat4all.domain.times import format_utc

from .figures import Figure
from .filling import (
    CHATS,
    FIRST_MS,
    HEAD_COLUMNS,
    MESSAGE_COLUMNS,
    PEOPLE,
    fill_people,
    set_passwords,
)
from .list_floor import PATH
from .quiet import Rounds, Say, quiet_rounds
from .running import HEALTH, free_ports, generate, module, process, product
from .workload import CONTENT, SEED, send_requests

CONNECTIONS = 32
SIGN_INS = 8
"""Connections that sign in, each again as soon as it has its answer."""

MEMBERSHIPS = 1_000
MEMBERS = 5
CHECKS = 200_000
PASSWORD = "a long password"

Values = Mapping[str, Any]


def measure(folder: Path, rounds: int, seconds: float, say: Say) -> Rounds:
    """Run; `seconds` is the length of each load."""
    data = folder / "people"
    port, metadata_port, floor_port = free_ports(3)
    command = product(data, port, metadata_port, "--no-demo")
    with process(command, port, *HEALTH):
        pass
    tokens = fill_people(data)
    fill_lists(data)
    lists = [_get("/v1/conversations?limit=50", tokens[0])]
    plainly = [_get(PATH, "")]
    sign_ins = [_sign_in(name) for name in PEOPLE]

    def accepts(what: str, running: Any) -> dict[str, float]:
        requests = [r for _ in range(2) for r in send_requests(tokens, CHATS)]
        before = processor_seconds(running.pid)
        found = generate(what, port, requests, connections=CONNECTIONS, seconds=seconds)
        spent = processor_seconds(running.pid) - before
        return {**found, "processor_us": 1e6 * spent / (found["rate"] * seconds)}

    def at_a_rate(what: str, rate: float) -> dict[str, float]:
        requests = [r for _ in range(2) for r in send_requests(tokens, CHATS)]
        return generate(what, port, requests, connections=CONNECTIONS, seconds=seconds, rate=rate)

    def one_round(running: Any) -> Values:
        loaded = accepts("the product", running)
        check = asyncio.run(check_us(data / "metadata.db"))
        say(f"a check {check:.2f} µs, an accept {loaded['processor_us']:.0f} µs of processor time")
        at_floor = generate("the floor", floor_port, plainly, connections=1, seconds=seconds)
        listed = generate("the list", port, lists, connections=1, seconds=seconds)
        say(f"list p99 {listed['p99']:.1f} ms, floor {at_floor['p99']:.1f} ms")
        half = loaded["rate"] / 2
        quiet = at_a_rate("the product", half)
        with ThreadPoolExecutor(1) as thread:
            flood = thread.submit(
                generate,
                "sign-ins",
                port,
                sign_ins,
                connections=SIGN_INS,
                seconds=seconds + 2,
            )
            time.sleep(1)  # by now it is under way
            flooded = at_a_rate("the product, while others sign in", half)
            signed_in = flood.result()
        say(
            f"accept p99 at {half:,.0f}/s {quiet['p99']:.1f} ms, with {signed_in['rate']:.1f} "
            f"sign-ins a second {flooded['p99']:.1f} ms"
        )
        return {
            "accept": loaded,
            "check_us": check,
            "list": listed,
            "list_floor": at_floor,
            "quiet": quiet,
            "flooded": flooded,
            "sign_ins": signed_in,
        }

    with (
        process(command, port, *HEALTH) as running,
        process(module("list_floor", str(floor_port), str(data)), floor_port, PATH),
    ):
        return quiet_rounds(lambda: one_round(running), rounds, say)


def figures(rounds: Rounds) -> list[Figure]:
    """Compare with the bars."""
    middle = rounds.medians
    check, accept = middle["check_us"], middle["accept"]["processor_us"]
    listed, plainly = middle["list"]["p99"], middle["list_floor"]["p99"]
    flooded, quiet = middle["flooded"]["p99"], middle["quiet"]["p99"]
    return [
        Figure(
            "check_to_accept",
            "A cached membership check, of an accept's processor time",
            check / accept,
            0.05,
            False,
            ours=check,
            theirs=accept,
            of="µs",
        ),
        Figure(
            "list_p99_to_floor",
            f"p99 of a list of 50 with {MEMBERSHIPS:,} memberships",
            listed / plainly,
            3.0,
            False,
            ours=listed,
            theirs=plainly,
            of="ms",
        ),
        Figure(
            "flooded_p99_to_quiet",
            "p99 of an accept at half its rate, during a flood of sign-ins",
            flooded / quiet,
            3.0,
            False,
            ours=flooded,
            theirs=quiet,
            of="ms",
        ),
    ]


def fill_lists(data: Path) -> None:
    """Give everybody a password, and the first user memberships whose conversations have news."""
    set_passwords(data, PASSWORD)
    chance = random.Random(SEED)
    chats = [str(uuid.UUID(int=10_000 + n)) for n in range(MEMBERSHIPS - len(CHATS))]
    everywhere = [*CHATS, *chats]
    with contextlib.closing(sqlite3.connect(data / "metadata.db")) as db, db:
        db.executemany(
            "INSERT INTO conversations (conversation_id, type, title, metadata, created_at) "
            "VALUES (?, 'group', 'a group', '{}', '2026-01-01T00:00:00.000Z')",
            [(chat,) for chat in chats],
        )
        db.executemany(
            "INSERT INTO members (conversation_id, username, role) VALUES (?, ?, 'member')",
            [(chat, name) for chat in chats for name in PEOPLE[:MEMBERS]],
        )
    chance.shuffle(everywhere)
    with contextlib.closing(sqlite3.connect(data / "store.db")) as db, db:
        for number, chat in enumerate(everywhere):
            at = format_utc(_moment(number))
            db.execute(
                f"INSERT INTO messages {MESSAGE_COLUMNS} VALUES (?, 1, ?, ?, ?, ?, 0, 0, 0)",
                (chat, str(uuid.UUID(int=number)), PEOPLE[1], CONTENT, at),
            )
            db.execute(
                f"INSERT INTO conversation_heads {HEAD_COLUMNS} VALUES (?, 1, 0, 0, 0, ?)",
                (chat, FIRST_MS + 1_000 * number),
            )
            db.executemany(
                "INSERT INTO read_markers VALUES (?, ?, 1, 1, 0, 0)",
                [(chat, name) for name in PEOPLE[:MEMBERS]],
            )


async def check_us(path: Path) -> float:
    """Return the processor time of one check that is remembered, in microseconds."""
    database = Database(path)
    try:
        follower = OutboxFollower(SqlOutbox(database))
        await follower.poll()
        directory = cached_members(SqlDirectory(database), follower)
        chats = [ConversationId(chat) for chat in CHATS]
        for chat in chats:
            await directory.members(chat)
        began = time.process_time()
        for number in range(CHECKS):
            if number % 10_000 == 0:
                await follower.poll()
            if PEOPLE[0] not in await directory.members(chats[number % len(chats)]):
                raise AssertionError
        return 1e6 * (time.process_time() - began) / CHECKS
    finally:
        await database.close()


def processor_seconds(pid: int) -> float:
    """Return what a process has used of processors until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _moment(number: int) -> datetime:
    return datetime.fromtimestamp(FIRST_MS / 1000 + number, UTC)


def _get(path: str, token: str) -> str:
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"


def _sign_in(name: str) -> str:
    body = f"username={name}&password={PASSWORD.replace(' ', '+')}"
    return (
        "POST /token HTTP/1.1\r\nhost: localhost\r\n"
        "content-type: application/x-www-form-urlencoded\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    )
