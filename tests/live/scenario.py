"""Random lives of clients: sends, breaks, resumes, joins, removals, and lost announcements."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import TypeAlias
from unittest.mock import patch

from chat4all.domain.events import LiveEvent
from chat4all.domain.ids import ConversationId
from chat4all.gateway.live import delivering, next_runs, resuming, runs
from tests.clocks import FastLoop
from tests.live.world import CHATS_USED, USERS, Client, World, seen_as

Step: TypeAlias = tuple[str, int, int]
"""What happens, and two numbers that say to whom."""

WHAT = (
    "send",
    "send three",
    "send, announced late",
    "send, announced twice",
    "send, not announced",
    "change",
    "change three",
    "change, announced late",
    "change, announced twice",
    "change, not announced",
    "delete",
    "send and change, announced together",
    "send and change, only that announced",
    "announce what is late",
    "poll the outbox",
    "lose the outbox",
    "break",
    "connect",
    "connect",
    "join",
    "leave",
    "leave amid sends",
    "leave amid a replay",
    "resume amid sends",
    "resume amid sends",
    "wait",
)

SETTLED_SECONDS = 60.0

MISSED_MAX = 12
"""In every third life: beyond it a client has to reload."""

PAGE = 2
"""Messages that are read at once: so that a replay takes several reads."""


def live_through(steps: Sequence[Step], seed: int) -> None:
    """Live through these steps; raises `AssertionError` for what must not be.

    What a client finds is raised in the hub's own tasks, which log it and go on.
    """
    missed = MISSED_MAX if seed % 3 == 0 else 1_000
    errors, log = _Errors(), logging.getLogger("chat4all")
    log.addHandler(errors)
    try:
        with (
            patch.object(next_runs, "PAGE", PAGE),
            patch.object(runs, "PIECE_MAX", 1),  # a frame at a time
            patch.object(resuming, "RESUME_MAX", missed),
            patch.object(delivering, "RESUME_MAX", missed),
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
        case "change" | "delete" | "change three":
            world.announce(chat, _changed(world, chat, what, one))
        case "change, announced late":
            world.late.append((chat, _changed(world, chat, what, one)))
        case "change, announced twice":
            events = _changed(world, chat, what, one)
            world.announce(chat, events)
            world.late.append((chat, events))
        case "change, not announced":
            _changed(world, chat, what, one)
            world.has_lost = True
        case "send and change, announced together" | "send and change, only that announced":
            sent = world.store(chat)
            events = world.change(chat, len(world.rows[chat]), "edit")
            world.announce(chat, sent + events if "together" in what else events)
            world.late.append((chat, sent))
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
        case "leave amid a replay":
            await world.directory.add_member(chat, client.username)
            await world.follower.poll()
            client.connect()
            await asyncio.sleep(3)
            client.cut()
            for _ in range(4):
                world.announce(chat, [*world.store(chat), *_changed(world, chat, what, one)])
            client.connect()
            for _ in range(one + 8):
                await world.turn()
            await world.directory.remove_member(chat, client.username)
        case "resume amid sends":
            client.cut()
            world.announce(chat, world.store(chat))
            client.connect()
            for number in range(6):
                await world.turn()
                sends = (one + number) % 3
                events = world.store(chat) if sends else _changed(world, chat, what, number)
                world.announce(chat, events)
        case "wait":
            await world.follower.poll()
            await asyncio.sleep(3)


def _changed(world: World, chat: ConversationId, what: str, one: int) -> list[LiveEvent]:
    """Change messages, if there are any."""
    events: list[LiveEvent] = []
    rows = world.rows[chat]
    for number in range(3 if what == "change three" else 1) if rows else ():
        how = "delete" if what == "delete" else ("edit", "react")[(one + number) % 2]
        # More often one of the newest: those are also among what clients miss.
        events += world.change(chat, max(1, len(rows) - (one + number) // 2), how)
    return events


async def _settle(world: World, clients: list[Client], changes: set[asyncio.Task[None]]) -> None:
    """Let everything come to an end; nothing is healed that is not healed in life."""
    await asyncio.gather(*changes)
    if world.turns.randrange(2):
        for client in clients:
            client.cut()  # nobody is left who keeps a head for the others
    for client in clients:
        client.connect()
    for chat in CHATS_USED:  # the last ones: no later one shows that they are missing
        await world.turn()
        world.announce(chat, world.store(chat))
        await world.turn()
        world.announce(chat, world.change(chat, 1, "edit"))
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
                everything = {row.seq: seen_as(row) for row in world.rows[chat]}
                assert client.has.get(chat) == everything, f"{client.username} in {chat}"
                assert client.positions[chat] == world.stored(chat)
            else:
                assert chat not in client.has, f"{client.username} is not in {chat}"
    assert {one.conversation for one in world.followers.conversations()} <= set(CHATS_USED)
