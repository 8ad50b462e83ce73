"""Fan-out: one encoding for all, in slices; and a directory that has lost count of its changes."""

import asyncio
import random
from collections import Counter
from unittest.mock import patch

from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, Session
from chat4all.domain.position import Position
from chat4all.gateway.live.followers import Follower
from chat4all.processes.live import for_sockets
from tests.clocks import FastLoop
from tests.live.sockets import FakeSocket
from tests.live.world import CHATS_USED, USERS, Client, World

SLICE = 3
FOLLOWERS = 10


class Keeping(FakeSocket):
    """Keeps the very bytes, and in which turn of the loop they were written."""

    turn = 0

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[int, bytes]] = []

    def write(self, frames: bytes) -> None:
        self.written.append((Keeping.turn, frames))


async def turning() -> None:
    while Keeping.turn < 1_000:
        Keeping.turn += 1
        await asyncio.sleep(0)


async def fan_out() -> None:
    world, chat, sockets = World(random.Random(1), SLICE), CHATS_USED[0], []
    await world.follower.poll()
    with world.hub.held(chat) as followed:
        for number in range(FOLLOWERS):
            world.inside[chat][Username(f"user{number}")] = Role.MEMBER
            session = Session(SessionId(str(number)), Username(f"user{number}"), 2**40)
            sockets.append(Keeping())
            follower = Follower(sockets[-1], for_sockets, session)
            world.followers.enter(follower)
            world.hub.attach(follower, followed, Position(0))
    ticking = asyncio.create_task(turning())
    world.announce(chat, world.store(chat, 3))
    await ticking
    assert [len(socket.written) for socket in sockets] == [1] * FOLLOWERS
    assert len({id(frames) for socket in sockets for _, frames in socket.written}) == 1
    in_one_turn = Counter(turn for socket in sockets for turn, _ in socket.written)
    assert max(in_one_turn.values()) == SLICE
    await world.close()


def test_all_are_written_the_same_bytes_a_slice_in_each_turn_of_the_loop() -> None:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(fan_out())


async def announced_while_the_head_is_read() -> None:
    world, chat = World(random.Random(1)), CHATS_USED[0]
    await world.follower.poll()
    client = Client(world, USERS[0])
    client.connect()
    await asyncio.sleep(3)
    position = world.position

    async def late(conversation: ConversationId) -> Position:
        stored = await position(conversation)
        if conversation == chat:
            world.announce(chat, world.store(chat))
        return stored

    with patch.object(world, "position", late):
        world.hub.lost()
        await asyncio.sleep(3)
    assert [*client.has[chat]] == [1]
    await world.close()


def test_what_is_announced_while_the_head_is_read_counts() -> None:
    """Fails when the head that was read replaces the one that was announced meanwhile."""
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(announced_while_the_head_is_read())


async def forgotten_changes() -> None:
    world = World(random.Random(1))
    await world.follower.poll()
    client = Client(world, USERS[1])
    client.connect()
    await asyncio.sleep(3)
    assert (client.is_current, client.has) == (True, {})
    chat = CHATS_USED[0]
    world.store(chat, 2)
    world.inside[chat][USERS[1]] = Role.MEMBER  # noted nowhere
    for listener in world.follower._listeners:
        listener.all_changed()
    await asyncio.sleep(3)
    assert [*client.has[chat]] == [1, 2]
    del world.inside[chat][USERS[1]]
    for listener in world.follower._listeners:
        listener.all_changed()
    await asyncio.sleep(3)
    assert client.has == {}
    await world.close()


def test_when_any_change_may_have_been_missed_all_memberships_are_asked_for() -> None:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(forgotten_changes())
