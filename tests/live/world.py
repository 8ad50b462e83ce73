"""A gateway's hub on a store and a directory in memory, and clients that check what they are told.

Every answer of the store and of the directory is what was true when it was asked, and comes some
turns of the event loop later: in between anything may happen. Time jumps (`FastLoop`), so that
nothing waits.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from chat4all.adapters.caching import OutboxFollower
from chat4all.adapters.caching.members import cached_members
from chat4all.domain.events import LiveEvent, MessageStored
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.listing import JoinedConversation
from chat4all.domain.messages import Activity, AllRead, StoredMessage
from chat4all.domain.people import Role, Session
from chat4all.domain.position import Position
from chat4all.gateway.live.admitting import Admission
from chat4all.gateway.live.delivering import Delivery
from chat4all.gateway.live.followers import Follower, Followers
from chat4all.gateway.live.hub import Hub
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.resuming import Asked, Resuming
from chat4all.ports.history import EncodedPage
from chat4all.ports.outbox import OutboxEntry, OutboxPage, Subject
from chat4all.processes.live import for_sockets
from chat4all.usecases.public_names import PublicNames
from chat4all.usecases.reading import Reading
from chat4all.usecases.versions import ConversationVersions
from chat4all.wire.messages import message_view
from tests.live.sockets import Frame, frames_in
from tests.messages import message
from tests.records import CHATS

T = TypeVar("T")

USERS = [Username(name) for name in ("ana", "bruno", "carla")]
CHATS_USED = CHATS[:2]

_encoder = msgspec.json.Encoder()


class World:
    """What is stored, who is where, and the hub that tells it. `turns` decides who is late."""

    def __init__(self, turns: random.Random, slice_size: int = 1) -> None:
        self.turns = turns
        self.now = 100.0
        self.rows: dict[str, list[StoredMessage]] = defaultdict(list)
        self.inside: dict[str, dict[Username, Role]] = {
            chat: {USERS[0]: Role.OWNER} for chat in CHATS_USED
        }
        self.noted: list[OutboxEntry] = []
        self.late: list[tuple[str, list[LiveEvent]]] = []
        self.has_lost = False

        self.follower = OutboxFollower(self, "the directory", clock=lambda: self.now)
        directory: Any = cached_members(self, self.follower)  # type: ignore[type-var]
        self.directory = directory
        self.versions = ConversationVersions(float("inf"))
        names = PublicNames(self)
        store: Any = self
        memberships: Any = self
        reading = Reading(store, directory, None, self.versions, names)  # type: ignore[arg-type]
        self.followers = Followers()
        members = PresentMembers(directory)
        self.delivery = Delivery(
            self.followers, members, reading, store, names, slice_size=slice_size
        )
        self.hub = Hub(
            self.versions, self.followers, self.delivery.deliver, self.activity, self.read_by
        )
        self.admission = Admission(
            self.hub, self.followers, self.delivery, members, memberships, store, self
        )
        self.resuming = Resuming(
            self.hub, self.delivery, self.admission, members, memberships, store
        )
        self.follower.add_listener(self.admission)

    # The store.

    async def head(self, conversation: ConversationId) -> int:
        return await self._later(len(self.rows[conversation]))

    async def page(
        self,
        conversation: ConversationId,
        all_read: AllRead,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> EncodedPage:
        assert after is not None
        assert before is None
        rows = self.rows[conversation]
        found = rows[after : after + limit]
        page = EncodedPage(b"[]", 0, 0, more=False)
        if found:
            views = [message_view(one, all_read.status(one)) for one in found]
            page = EncodedPage(
                _encoder.encode(views), found[0].seq, found[-1].seq, found[-1].seq < len(rows)
            )
        return await self._later(page)

    async def read_seqs(self, _: ConversationId) -> Mapping[Username, int]:
        return {}

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        return await self._later(
            {one: Activity(len(self.rows[one]), 0) for one in conversations if self.rows[one]}
        )

    async def read_by(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        return await self._later({one: {} for one in readers})

    # The directory and its outbox.

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        return await self._later(dict(self.inside[conversation]))

    async def of_user(self, username: Username) -> Sequence[JoinedConversation]:
        return await self._later(
            [
                JoinedConversation(ConversationId(chat), inside[username], "")
                for chat, inside in self.inside.items()
                if username in inside
            ]
        )

    async def aliases(self, _: Sequence[Username]) -> Mapping[Username, Username]:
        return {}

    async def get(self, session: SessionId) -> Session:
        return Session(session, USERS[0], 0)

    async def add_member(self, conversation: ConversationId, username: Username) -> None:
        await self._later(None)
        self.inside[conversation][username] = Role.MEMBER
        self._note(conversation)

    async def remove_member(self, conversation: ConversationId, username: Username) -> None:
        await self._later(None)
        self.inside[conversation].pop(username, None)
        self._note(conversation)

    async def _unused(self) -> None: ...

    add_conversation = change_role = change_conversation = delete_conversation = _unused

    async def after(self, position: int | None) -> OutboxPage:
        """See `ports.outbox.Outbox`."""
        end = len(self.noted)
        page = OutboxPage(end, self.noted[position or 0 : end], complete=position is not None)
        return await self._later(page)

    def _note(self, conversation: ConversationId) -> None:
        self.noted.append(OutboxEntry(str(len(self.noted)), Subject.MEMBERS, conversation))

    async def _later(self, answer: T) -> T:
        await self.turn()
        return answer

    async def turn(self) -> None:
        """Let some turns of the loop pass."""
        for _ in range(self.turns.randrange(8)):
            await asyncio.sleep(0)

    # The router.

    def store(self, chat: ConversationId, count: int = 1) -> list[LiveEvent]:
        """Store messages, and return their announcement."""
        rows = self.rows[chat]
        new = [
            replace(message(len(rows) + number), conversation_id=chat)
            for number in range(1, count + 1)
        ]
        rows += new
        return [MessageStored(one) for one in new]

    def announce(self, chat: str, events: list[LiveEvent]) -> None:
        self.hub.announced(chat, lambda: events)

    async def close(self) -> None:
        for work in (self.hub, self.admission, self.resuming):
            await work.close()


class Client:
    """A device of a user: it keeps what it is told, and finds what cannot be."""

    def __init__(self, world: World, username: Username) -> None:
        self.world = world
        self.username = username
        self.positions: dict[str, Position] = {}
        self.has: dict[str, list[int]] = {}
        self.is_current = False
        self.link: Link | None = None

    def connect(self) -> None:
        """Connect, and resume from what it has."""
        if self.link is not None:
            return
        link = self.link = Link(self)
        positions = {ConversationId(key): at for key, at in self.positions.items()}
        self.world.followers.enter(link.follower)
        self.world.resuming.begin(link.follower, Asked(positions))

    def cut(self) -> None:
        """Lose the connection."""
        if self.link is not None:
            self.link.is_open = False
            self.world.resuming.forget(self.link.follower)
            self.world.followers.leave(self.link.follower)
            self.link, self.is_current = None, False

    def told(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "message":
            view = frame["message"]
            chat, seq = view["conversation_id"], view["seq"]
            assert frame["position"] == str(Position(seq))
            assert chat in self.has, f"{self.username} was told of a conversation without a start"
            assert seq == self.positions[chat].seq + 1, (
                f"{self.username} has {self.positions[chat]} and was told {seq}"
            )
            self.positions[chat] = Position(seq)
            self.has[chat].append(seq)
        elif kind == "reload" or (kind == "conversation" and frame["event"] == "added"):
            chat = frame["conversation_id"]
            at = self.positions[chat] = Position.parse(frame["position"])
            assert at.seq <= len(self.world.rows[chat])
            self.has[chat] = list(range(1, at.seq + 1))  # as the history has it
        elif kind == "conversation" and frame["event"] == "removed":
            self.has.pop(frame["conversation_id"], None)
            self.positions.pop(frame["conversation_id"], None)
        elif kind == "resumed":
            assert not self.is_current
            self.is_current = True
        else:
            assert (kind, frame.get("event")) == ("conversation", "changed"), frame


class Link:
    """A socket of a client; frames for a replay take a while to be written."""

    def __init__(self, client: Client) -> None:
        self.is_open = True
        self.client = client
        session = Session(SessionId(str(id(self))), client.username, 2**40)
        self.follower = Follower(self, for_sockets, session)

    @property
    def has_room(self) -> bool:
        return self.client.world.turns.randrange(3) > 0

    def write(self, frames: bytes) -> None:
        if self.is_open:
            self._check(frames)
            self._tell(frames)

    def write_passing(self, frames: bytes) -> bool:
        self.write(frames)
        return True

    async def write_paced(self, frames: bytes) -> None:
        await self.room()
        self.write_part(frames)

    async def room(self) -> None:
        for _ in range(self.client.world.turns.randrange(5)):
            await asyncio.sleep(0)
        if not self.is_open:
            raise ConnectionError

    def write_part(self, frames: bytes) -> None:
        self.write(frames)

    def close(self, code: int, reason: str = "") -> None:
        assert (code, reason) == (1011, "resuming failed")
        self.is_open = False
        asyncio.get_running_loop().call_soon(self.client.cut)

    def _check(self, frames: bytes) -> None:
        """Nothing is written for who is no member."""
        for frame in frames_in(frames):
            if frame["type"] == "message":
                inside = self.client.world.inside[frame["message"]["conversation_id"]]
                assert self.client.username in inside, f"{self.client.username} is no member"

    def _tell(self, frames: bytes) -> None:
        for frame in frames_in(frames):
            self.client.told(frame)
