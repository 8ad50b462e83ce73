"""Gateways that tell each other who is online, with a clock that stands still until it is moved."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, Session
from chat4all.gateway.live.followers import Follower, Followers
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.presence import Presence
from chat4all.gateway.live.watching import Watching
from chat4all.ports.outbox import OutboxEntry, Subject
from chat4all.processes.live import for_sockets
from tests.clocks import Clock
from tests.live.gateways import SharedFeed
from tests.live.sockets import FakeSocket, Frame, until
from tests.records import CHATS

CHAT, OTHER_CHAT = CHATS[:2]


class People:
    """The directory."""

    def __init__(self) -> None:
        self.inside: dict[str, dict[Username, Role]] = {}
        self.is_certain = True
        self.asked = 0
        self.loading: dict[str, Callable[[], None]] = {}
        """What happens while the members of a conversation are read the next time."""

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        if not self.is_certain:
            raise Unavailable("the outbox cannot be followed")
        if (happens := self.loading.pop(conversation, None)) is not None:
            await asyncio.sleep(0)
            happens()
            self.inside[conversation] = dict(self.inside[conversation])
        return self.inside.setdefault(conversation, {})

    async def members_of(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Mapping[Username, Role]]:
        if not self.is_certain:
            raise Unavailable("the outbox cannot be followed")
        return {one: self.inside.get(one, {}) for one in conversations}

    async def shared(
        self, viewer: Username, usernames: Sequence[Username]
    ) -> Mapping[Username, ConversationId]:
        self.asked += 1
        return {
            one: ConversationId(chat)
            for chat, inside in self.inside.items()
            for one in usernames
            if viewer in inside and one in inside
        }


class Device(FakeSocket):
    """A connection of a user."""

    has_space = True

    def write_passing(self, frames: bytes) -> bool:
        return self.has_space and super().write_passing(frames)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Return whose presence was told, and which."""
        return [(one["username"], one["status"]) for one in self.of_type("presence")]

    @property
    def last(self) -> Frame:
        return self.of_type("presence")[-1]


class Gateway:
    """One gateway, as far as presence goes."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.is_heard = True
        self.followers = Followers()
        feed = world.feed if world.is_cluster else None
        self.presence = Presence(self.followers, feed, lambda: self.is_heard, clock=world.clock)
        memberships: Any = world.people
        members: Any = world.people
        self.watching = Watching(self.presence, PresentMembers(members), memberships)
        world.feed.gateways.append(self)

    def connect(self, username: str) -> Device:
        device = Device()
        session = Session(SessionId(str(id(device))), Username(username), 2**40)
        device.follower = Follower(device, for_sockets, session)  # type: ignore[attr-defined]
        self.followers.enter(device.follower)  # type: ignore[attr-defined]
        return device

    def leave(self, device: Any) -> None:
        device.code = 1000
        self.watching.forget(device.follower)
        self.followers.leave(device.follower)

    def watch(self, device: Any, *usernames: str) -> None:
        self.watching.watch(device.follower, usernames)

    def members_changed(self, chat: str) -> None:
        self.watching.changed([OutboxEntry("1", Subject.MEMBERS, chat)])

    # A listener of the feed.

    def announced(self, key: str, decode: Any) -> None:
        if self.is_heard:
            self.presence.announced(key, decode)

    def alive(self) -> None:
        pass


class World:
    """Some gateways; ana, bruno and carla are in one conversation, davi in none."""

    def __init__(self, count: int = 2, *, is_cluster: bool = True) -> None:
        self.is_cluster = is_cluster
        self.clock = Clock()
        self.feed = SharedFeed()
        self.people = People()
        for name in ("ana", "bruno", "carla"):
            self.add(name)
        self.gateways = [Gateway(self) for _ in range(count)]

    def add(self, name: str, chat: str = CHAT) -> None:
        inside = self.people.inside.get(chat, {})
        self.people.inside[chat] = inside | {Username(name): Role.MEMBER}

    def remove(self, name: str, chat: str = CHAT) -> None:
        inside = {**self.people.inside[chat]}
        del inside[Username(name)]
        self.people.inside[chat] = inside

    async def settle(self) -> None:
        """Let everything be told that is to be told now."""

        def is_quiet() -> bool:
            return all(
                not one.watching._handing
                and not one.watching._work
                and not one.presence._announcing
                for one in self.feed.gateways
            )

        await until(is_quiet)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, with a tick a second."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + 1)
            for one in self.feed.gateways:
                await one.watching.tick()
            await self.settle()

    async def start(self) -> None:
        """Let the gateways hear the feed for a while."""
        await self.pass_time(5)
        self.feed.keys.clear()

    async def close(self) -> None:
        for one in self.feed.gateways:
            await one.watching.close()
