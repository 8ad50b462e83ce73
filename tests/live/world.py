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
from typing import Any, NamedTuple, TypeVar

import msgspec

from chat4all.adapters.caching import OutboxFollower
from chat4all.adapters.caching.members import cached_members
from chat4all.domain.changes import ReactionCount
from chat4all.domain.events import LiveEvent, MessageChanged, MessageStored
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.kinds import Kind
from chat4all.domain.listing import JoinedConversation
from chat4all.domain.messages import Activity, AllRead, StoredMessage
from chat4all.domain.people import Role, Session
from chat4all.domain.position import Position
from chat4all.gateway.live.admitting import Admission
from chat4all.gateway.live.delivering import Delivery
from chat4all.gateway.live.followers import Follower, Followers
from chat4all.gateway.live.hub import Hub
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.next_runs import NextRuns
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

TURNS_MAX = 5_000
"""Waits for the store and the directory in one life; few have more than 500."""

USERS = [Username(name) for name in ("ana", "bruno", "carla")]
CHATS_USED = CHATS[:2]

_encoder = msgspec.json.Encoder()


class Seen(NamedTuple):
    """What a client shows of a message, and the number of the newest change that is in it."""

    change: int
    content: str
    is_deleted: bool
    reactions: int


def seen_first(seq: int) -> Seen:
    """Return how a message is that was not changed."""
    return Seen(0, message(seq).content, is_deleted=False, reactions=0)


def seen_as(one: StoredMessage) -> Seen:
    """Return how a stored message is to be seen."""
    count = sum(reaction.count for reaction in one.reactions)
    return Seen(int(one.edited_at or 0), one.content, one.deleted_at is not None, count)


def seen_in(view: dict[str, Any]) -> Seen:
    """Return how a frame shows a message."""
    count = sum(reaction["count"] for reaction in view["reactions"])
    return Seen(int(view["edited_at"] or 0), view["content"], view["deleted_at"] is not None, count)


class World:
    """What is stored, who is where, and the hub that tells it. `turns` decides who is late."""

    def __init__(self, turns: random.Random, slice_size: int = 1) -> None:
        self.turns = turns
        self.turned = 0
        self.now = 100.0
        self.rows: dict[str, list[StoredMessage]] = defaultdict(list)
        self.changes: dict[str, list[StoredMessage]] = defaultdict(list)
        """Each message as its change left it; `edited_at` is the number of its newest change."""
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
        runs = NextRuns(members, reading, store, names)
        self.delivery = Delivery(self.followers, members, runs, slice_size=slice_size)
        self.hub = Hub(
            self.versions, self.followers, self.delivery.deliver, self.activity, self.read_by
        )
        self.admission = Admission(
            self.hub, self.followers, self.delivery, members, memberships, store, self
        )
        self.resuming = Resuming(
            self.hub, self.delivery, runs, self.admission, members, memberships, store
        )
        self.follower.add_listener(self.admission)

    # The store.

    async def position(self, conversation: ConversationId) -> Position:
        return await self._later(self.stored(conversation))

    async def changed(
        self, conversation: ConversationId, *, after: int, limit: int
    ) -> Sequence[tuple[int, int]]:
        changes = self.changes[conversation][after : after + limit]
        return await self._later([(int(one.edited_at or 0), one.seq) for one in changes])

    async def with_numbers(
        self, conversation: ConversationId, numbers: Sequence[int]
    ) -> Sequence[StoredMessage]:
        return await self._later([self._as_now(self.rows[conversation][n - 1]) for n in numbers])

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
        found = [self._as_now(one) for one in rows[after : after + limit]]
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
            {
                one: Activity(self.stored(one).seq, 0, self.stored(one).change)
                for one in conversations
                if self.rows[one]
            }
        )

    async def read_by(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        return await self._later({one: {} for one in readers})

    # The directory and its outbox.

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        return await self._later(dict(self.inside[conversation]))

    async def members_of(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Mapping[Username, Role]]:
        return await self._later({one: dict(self.inside[one]) for one in conversations})

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

    async def get_each(self, sessions: Sequence[SessionId]) -> Mapping[SessionId, Session]:
        return {session: await self.get(session) for session in sessions}

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
        self.turned += 1
        assert self.turned < TURNS_MAX, "something goes on for ever"
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
        # Some answer the one before: those are read from the store, not taken as announced.
        new = [
            replace(one, reply_seq=one.seq - 1, kind=Kind.CUSTOM, payload={}, mentions=(USERS[0],))
            if one.seq % 7 == 0
            else one
            for one in new
        ]
        rows += new
        return [MessageStored(one) for one in new]

    def _as_now(self, one: StoredMessage) -> StoredMessage:
        """Return a message with the one that it answers, as the store reads both."""
        if one.reply_seq is None:
            return one
        return replace(one, reply_to=self.rows[one.conversation_id][one.reply_seq - 1].as_reply())

    def change(self, chat: ConversationId, seq: int, how: str) -> list[LiveEvent]:
        """Store a change of a message, and return its announcement; of a deleted one nothing is
        left that could change."""
        number, one = len(self.changes[chat]) + 1, self.rows[chat][seq - 1]
        one = replace(one, edited_at=str(number))
        if how == "delete" or one.deleted_at:
            one = replace(one, content="", reactions=(), deleted_at=one.deleted_at or str(number))
        elif how == "edit":
            one = replace(one, content=f"edited by {number}")
        else:
            one = replace(one, reactions=(ReactionCount("👍", number, ()),))
        self.rows[chat][seq - 1] = one
        self.changes[chat].append(one)
        return [MessageChanged(chat, seq, number)]

    def stored(self, chat: str) -> Position:
        """Return the newest numbers."""
        return Position(len(self.rows[chat]), len(self.changes[chat]))

    def as_of(self, chat: str, position: Position) -> dict[int, Seen]:
        """Return what the history showed at a position."""
        seen = {row.seq: seen_first(row.seq) for row in self.rows[chat][: position.seq]}
        return seen | {one.seq: seen_as(one) for one in self.changes[chat][: position.change]}

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
        self.has: dict[str, dict[int, Seen]] = {}
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
        if kind in ("message", "message_changed"):
            self._shown(frame)
        elif kind == "reload" or (kind == "conversation" and frame["event"] == "added"):
            chat = frame["conversation_id"]
            at = self.positions[chat] = Position.parse(frame["position"])
            assert self.world.stored(chat).covers(at)
            self.has[chat] = self.world.as_of(chat, at)  # or newer: it need not be
        elif kind == "conversation" and frame["event"] == "removed":
            self.has.pop(frame["conversation_id"], None)
            self.positions.pop(frame["conversation_id"], None)
        elif kind == "resumed":
            assert not self.is_current
            self.is_current = True
        else:
            assert (kind, frame.get("event")) == ("conversation", "changed"), frame

    def _shown(self, frame: Frame) -> None:
        view, at = frame["message"], Position.parse(frame["position"])
        chat, seq, seen = view["conversation_id"], view["seq"], seen_in(view)
        assert chat in self.has, f"{self.username} was told of a conversation without a start"
        has, before = self.has[chat], self.positions[chat]
        told = f"{self.username} has {before} and was told {at}, {seq}"
        if frame["type"] == "message":
            assert at == (before.seq + 1, before.change), told
            assert seq == at.seq, told
        else:
            assert at.seq == before.seq, told
            assert at.change > before.change, told
            assert seq in has, told
            assert seen.change >= has[seq].change, told  # what was deleted stays deleted
        if seq % 7 == 0:
            answered = self.world.as_of(chat, at)[seq - 1]
            reply = view["reply_to"]
            assert (view["kind"], view["mentions"]) == ("custom", ["ana"])
            assert reply is not None, told
            assert reply["seq"] == seq - 1
            if answered.is_deleted:
                assert (reply["deleted"], reply["content"]) == (True, ""), told
        has[seq] = seen
        for number, one in enumerate(self.world.changes[chat][: at.change], 1):
            if one.seq == seq or number > before.change:
                assert has[one.seq].change >= number, f"{told}; {one.seq} is from before {number}"
        self.positions[chat] = at


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

    @property
    def has_drained(self) -> bool:
        return self.has_room

    def write(self, frames: bytes) -> None:
        if self.is_open:
            self._check(frames)
            self._tell(frames)

    def write_passing(self, frames: bytes) -> bool:
        self.write(frames)
        return True

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
            if frame["type"] in ("message", "message_changed"):
                inside = self.client.world.inside[frame["message"]["conversation_id"]]
                assert self.client.username in inside, f"{self.client.username} is no member"

    def _tell(self, frames: bytes) -> None:
        for frame in frames_in(frames):
            self.client.told(frame)
