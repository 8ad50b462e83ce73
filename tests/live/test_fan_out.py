"""Fan-out: one encoding for all, in slices; and a directory that has lost count of its changes."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from unittest.mock import patch

from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, Session
from chat4all.domain.position import Position
from chat4all.gateway.live.followers import Follower
from chat4all.ports.directory import MEMBERS_ASKED_MAX
from chat4all.ports.outbox import OutboxPage
from chat4all.processes.live import for_sockets
from tests.clocks import FastLoop
from tests.live.sockets import FakeSocket, Frame
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


class Counting(World):
    """A world of many conversations whose directory counts the questions about members."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.asked: list[int] = []
        """Of how many conversations each question was."""
        self.is_complete = True
        self.meanwhile: list[Callable[[], None]] = []
        """What happens during the next questions, one after another."""
        self.inside |= {
            f"11111111-0000-0000-0000-{number:012}": {USERS[0]: Role.MEMBER}
            for number in range(MEMBERS_ASKED_MAX)
        }

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        self.asked.append(1)
        return await super().members(conversation)

    async def members_of(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Mapping[Username, Role]]:
        self.asked.append(len(conversations))
        found = await super().members_of(conversations)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return found

    async def after(self, position: int | None) -> OutboxPage:
        page = await super().after(position)
        return OutboxPage(page.position, page.entries, page.complete and self.is_complete)

    async def lose_count(self) -> None:
        """Read an incomplete page of the outbox, and let all that follows from it happen."""
        self.asked.clear()
        versions = {one: one.members_version for one in self.followers.conversations()}
        self.is_complete = False
        await self.follower.poll()
        self.is_complete = True
        # At once: who is about to be attached is looked at again.
        assert all(one.members_version > version for one, version in versions.items())
        await asyncio.sleep(3)


class Listening(Client):
    """Keeps which conversations it is told have changed."""

    def __init__(self, world: World, username: Username) -> None:
        super().__init__(world, username)
        self.changed: list[str] = []

    def told(self, frame: Frame) -> None:
        super().told(frame)
        if frame.get("event") == "changed":
            self.changed.append(frame["conversation_id"])


def away() -> None:
    raise Unavailable("away")


async def many_are_looked_at() -> None:
    world = Counting()
    await world.follower.poll()
    client = Listening(world, USERS[0])
    client.connect()
    await asyncio.sleep(3)
    chats = [*client.has]
    parts = [MEMBERS_ASKED_MAX, len(chats) - MEMBERS_ASKED_MAX]
    assert (client.is_current, len(chats)) == (True, MEMBERS_ASKED_MAX + len(CHATS_USED))

    await world.lose_count()
    assert world.asked == parts
    assert sorted(client.changed) == sorted(chats)

    # The second question fails once: it is asked again, and the first one is not.
    world.meanwhile = [lambda: None, away]
    for chat in (chats[0], chats[-1]):
        del world.inside[chat][USERS[0]]
    await world.lose_count()
    assert world.asked == [*parts, parts[1]]
    assert {*chats} - {*client.has} == {chats[0], chats[-1]}

    def lose_another() -> None:
        del world.inside[chats[1]][USERS[0]]  # after it was answered
        for listener in world.follower._listeners:
            listener.all_changed()

    world.meanwhile = [lose_another]
    await world.lose_count()
    assert chats[1] not in client.has
    await world.close()


def test_many_conversations_that_may_have_changed_are_asked_for_in_parts() -> None:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(many_are_looked_at())
