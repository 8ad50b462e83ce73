"""Random lives of clients: sends, breaks, resumes, joins, removals, and lost announcements."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import TypeAlias
from unittest.mock import patch

from chat4all.gateway.live import next_runs, runs
from tests.clocks import FastLoop
from tests.live.world import CHATS_USED, USERS, Client, World

Step: TypeAlias = tuple[str, int, int]
"""What happens, and two numbers that say to whom."""

WHAT = (
    "send",
    "send three",
    "send, announced late",
    "send, announced twice",
    "send, not announced",
    "announce what is late",
    "poll the outbox",
    "lose the outbox",
    "break",
    "connect",
    "connect",
    "join",
    "leave",
    "leave amid sends",
    "wait",
)

SETTLED_SECONDS = 60.0

PAGE = 2
"""Messages that are read at once: so that a replay takes several reads."""


def live_through(steps: Sequence[Step], seed: int) -> None:
    """Live through these steps; raises `AssertionError` for what must not be.

    What a client finds is raised in the hub's own tasks, which log it and go on.
    """
    errors, log = _Errors(), logging.getLogger("chat4all")
    log.addHandler(errors)
    try:
        with (
            patch.object(next_runs, "PAGE", PAGE),
            patch.object(runs, "PIECE_MAX", 1),  # a frame at a time
            patch.object(random, "uniform", random.Random(seed).uniform),  # the jitter of retries
            asyncio.Runner(loop_factory=FastLoop) as runner,
        ):
            runner.run(_live_through(steps, seed))
    finally:
        log.removeHandler(errors)
    assert not errors.found, errors.found


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.getMessage()}: {getattr(record, 'cause', '')}")


def random_steps(seed: int) -> list[Step]:
    """Return steps for who needs no shrinking."""
    pick = random.Random(seed)
    return [
        (pick.choice(WHAT), pick.randrange(6), pick.randrange(8))
        for _ in range(pick.randrange(10, 60))
    ]


async def _live_through(steps: Sequence[Step], seed: int) -> None:
    world = World(random.Random(seed))
    clients = [Client(world, username) for username in (*USERS, USERS[0])]
    await world.follower.poll()
    changes: set[asyncio.Task[None]] = set()
    for what, one, turns in steps:
        await _step(world, clients, changes, what, one)
        for _ in range(turns):
            await asyncio.sleep(0)
    await _settle(world, clients, changes)
    await world.close()
    _judge(world, clients)


async def _step(
    world: World, clients: list[Client], changes: set[asyncio.Task[None]], what: str, one: int
) -> None:
    chat, client = CHATS_USED[one % len(CHATS_USED)], clients[one % len(clients)]
    user = USERS[1 + one % 2]
    match what:
        case "send" | "send three":
            world.announce(chat, world.store(chat, 3 if what == "send three" else 1))
        case "send, announced late":
            world.late.append((chat, world.store(chat)))
        case "send, announced twice":
            events = world.store(chat)
            world.announce(chat, events)
            world.late.append((chat, events))
        case "send, not announced":
            world.store(chat)
            world.has_lost = True
        case "announce what is late":
            for where, events in world.late:
                world.announce(where, events)
            world.late.clear()
        case "poll the outbox":
            await world.follower.poll()
        case "lose the outbox":
            world.now += 6
        case "break":
            client.cut()
        case "connect":
            client.connect()
        case "join":
            changes.add(asyncio.create_task(world.directory.add_member(chat, user)))
        case "leave":
            changes.add(asyncio.create_task(world.directory.remove_member(chat, user)))
        case "leave amid sends":
            await world.directory.add_member(chat, user)
            await world.follower.poll()
            await asyncio.sleep(3)
            # Two changes: while one is made, what is loaded is not kept; it is loaded again while
            # the other one is.
            other = USERS[2 - one % 2]
            await world.directory.remove_member(chat, other)
            changes.add(asyncio.create_task(world.directory.add_member(chat, other)))
            changes.add(asyncio.create_task(world.directory.remove_member(chat, user)))
            for _ in range(4):
                world.announce(chat, world.store(chat))
                await world.turn()
        case "wait":
            await world.follower.poll()
            await asyncio.sleep(3)


async def _settle(world: World, clients: list[Client], changes: set[asyncio.Task[None]]) -> None:
    """Let everything come to an end; nothing is healed that is not healed in life."""
    await asyncio.gather(*changes)
    for client in clients:
        client.connect()
    for chat in CHATS_USED:  # the last ones: no later one shows that they are missing
        await world.turn()
        world.announce(chat, world.store(chat))
    await _step(world, clients, changes, "announce what is late", 0)
    await world.follower.poll()
    await asyncio.sleep(SETTLED_SECONDS)
    for client in clients:
        client.connect()  # a resume that was given up
    for _ in range(20):
        await asyncio.sleep(SETTLED_SECONDS)
        world.hub.deliver_what_waits()  # as once a second
    await asyncio.sleep(SETTLED_SECONDS)
    if world.has_lost:
        world.hub.lost()
        for _ in range(20):
            await asyncio.sleep(SETTLED_SECONDS)
            world.hub.deliver_what_waits()


def _judge(world: World, clients: list[Client]) -> None:
    for client in clients:
        assert client.is_current, f"{client.username} has not resumed"
        for chat in CHATS_USED:
            if client.username in world.inside[chat]:
                everything = [row.seq for row in world.rows[chat]]
                assert client.has.get(chat) == everything, f"{client.username} in {chat}"
            else:
                assert chat not in client.has, f"{client.username} is not in {chat}"
    assert {one.conversation for one in world.followers.conversations()} <= set(CHATS_USED)
