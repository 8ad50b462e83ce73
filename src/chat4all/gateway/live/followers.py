"""Who follows what in this gateway: connections, and the conversations that they follow.

For each connection and conversation one position, and nothing else that grows.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from itertools import islice
from typing import NamedTuple, TypeVar

from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.messages import StoredMessage
from chat4all.domain.people import Session
from chat4all.domain.position import START, Position
from chat4all.gateway.live.connections import LiveSocket, Wrap
from chat4all.wire.frames import ServerFrame, encode_frame

K = TypeVar("K")
V = TypeVar("V")

PENDING_MAX = 1_000
"""Announced messages that may wait for one conversation, and as many changes; beyond that they are
read from the store."""

TYPING_MAX = 100
"""Members of one conversation who type at a time; further ones are not told."""

MARKERS_MAX = 1_000
"""Members whose markers may wait for one conversation; further ones are dropped."""

DELIVERED_TOLD = 20
"""Delivered markers that are told together; the others wait for the next time."""


class Stage(Enum):
    """How far a connection is."""

    SIGNED_IN = auto()
    RESUMING = auto()
    FOLLOWING = auto()
    """It gets what its user joins."""
    GONE = auto()


class Follower:
    """A signed-in connection."""

    __slots__ = ("conversations", "joined", "only", "session", "socket", "stage", "wrap")

    def __init__(
        self,
        socket: LiveSocket,
        wrap: Wrap,
        session: Session,
        only: ConversationId | None = None,
    ) -> None:
        self.socket = socket
        self.wrap = wrap
        self.session = session
        self.only = only
        """What a stream is about; None: all that its user is in."""
        self.stage = Stage.SIGNED_IN
        self.conversations: set[ConversationId] = set()
        self.joined: set[ConversationId] = set()
        """Whose members changed while it resumed: to be looked at before it is current."""

    @property
    def username(self) -> Username:
        """Whose connection it is."""
        return self.session.username

    def wrapped(self, frame: ServerFrame, position: Position | None = None) -> bytes:
        """Return a frame as this connection carries it."""
        return self.wrap(encode_frame(frame), "" if position is None else str(position))

    def say(self, frame: ServerFrame, position: Position | None = None) -> None:
        """Write one frame."""
        self.socket.write(self.wrapped(frame, position))

    async def say_paced(self, frames: bytes) -> None:
        """Write what is wrapped, as a part of a replay. Raises `ConnectionError`."""
        await self.socket.room()
        self.socket.write_part(frames)


class Announced(NamedTuple):
    """What is to be delivered in one conversation."""

    messages: list[StoredMessage]
    changes: dict[int, int]
    """The numbers of changes, each with that of its message."""
    markers: dict[Username, int]
    delivered: dict[Username, int]
    is_incomplete: bool
    """Announcements are missing: the store has to be read."""
    members_changed: bool
    typing: set[Username]


class Followed:
    """A conversation that somebody here follows, or is about to."""

    __slots__ = (
        "_changes",
        "_delivered",
        "_is_incomplete",
        "_markers",
        "_members_changed",
        "_messages",
        "_typing",
        "conversation",
        "head",
        "holds",
        "is_lagged_behind",
        "markers_from",
        "markers_told",
        "members_version",
        "positions",
    )

    def __init__(self, conversation: ConversationId) -> None:
        self.conversation = conversation
        self.positions: dict[Follower, Position] = {}
        """What each follower was sent, without a gap."""
        self.head = START
        """The newest numbers that are known to be stored, while this is followed."""
        self.holds = 0
        self.members_version = 0
        """Grows when its members may have changed."""
        self.is_lagged_behind = False
        """Whether somebody had no room for all that there is, and is to be sent the rest."""
        self.markers_from = 0.0
        """When the next markers may be told, by the loop's clock."""
        self.markers_told: dict[Username, int] = {}
        """How far those who follow have read, as all their connections know."""
        self._messages: list[StoredMessage] = []
        self._changes: dict[int, int] = {}
        self._markers: dict[Username, int] = {}
        self._delivered: dict[Username, int] = {}
        self._is_incomplete = False
        self._members_changed = False
        self._typing: set[Username] = set()

    def put(self, messages: Iterable[StoredMessage]) -> None:
        """Note messages that were announced."""
        for message in messages:
            self.raise_head(Position(message.seq))
            self._messages.append(message)
        if len(self._messages) > PENDING_MAX:
            self._messages.clear()  # the head says that they are to be read

    def put_change(self, change: int, seq: int) -> None:
        """Note that a change of the message `seq` was announced: that message is stored too."""
        self.raise_head(Position(seq, change))
        self._changes[change] = seq
        if len(self._changes) > PENDING_MAX:
            self._changes.clear()

    def raise_head(self, stored: Position) -> None:
        """Note numbers that are stored. Each counts by itself: neither takes the other back."""
        self.head = self.head.joined(stored)

    def put_marker(self, username: Username, seq: int) -> None:
        """Note how far a member has read."""
        _raise(self._markers, username, seq)

    def put_delivered(self, username: Username, seq: int) -> None:
        """Note how far a member has received."""
        _raise(self._delivered, username, seq)

    def told_marker(self, username: Username, seq: int) -> None:
        """Note how far somebody has read, if one of those who follow, as they know by now."""
        if (known := self.markers_told.get(username)) is not None:
            self.markers_told[username] = max(known, seq)

    def put_typing(self, username: Username) -> None:
        """Note that a member is typing."""
        if len(self._typing) < TYPING_MAX:
            self._typing.add(username)

    def missed(self) -> None:
        """Note that announcements are missing."""
        self._is_incomplete = True

    def changed(self) -> None:
        """Note that its members, or its title, may have changed."""
        self.members_version += 1
        self._members_changed = True

    def take(self, *, markers: bool) -> Announced:
        """Return what was noted, once; the markers only where they are wanted."""
        told = [*islice(self._delivered, DELIVERED_TOLD)] if markers else []
        taken = Announced(
            self._messages,
            self._changes,
            self._markers if markers else {},
            {username: self._delivered.pop(username) for username in told},
            self._is_incomplete,
            self._members_changed,
            self._typing,
        )
        self._messages = []
        self._changes = {}
        self._typing = set()
        if markers:
            self._markers = {}
        self._is_incomplete = self._members_changed = False
        return taken

    def has_markers(self) -> bool:
        """Return whether markers wait."""
        return bool(self._markers or self._delivered)

    def put_back(self, taken: Announced) -> None:
        """Note again what could not be delivered, and may not be lost."""
        self._is_incomplete = True
        self._members_changed |= taken.members_changed
        for username, seq in taken.markers.items():
            self.put_marker(username, seq)
        for username, seq in taken.delivered.items():
            self.put_delivered(username, seq)

    def floor(self, without: Collection[Follower] = ()) -> Position:
        """Return the least numbers that followers have; the head where nobody follows."""
        of_followers = {
            position for follower, position in self.positions.items() if follower not in without
        }
        if not of_followers:
            return self.head
        return Position(*map(min, zip(*of_followers, strict=True)))


class Followers:
    """All connections of this gateway that are signed in, and what they follow."""

    def __init__(self) -> None:
        self._followed: dict[str, Followed] = {}
        self.noticed: Callable[[Username], None] = lambda _: None
        """Called when the first connection of a user has come, or the last one has gone."""
        self.is_ending = False
        """Whether the server ends: no stream begins any more."""
        self.users: dict[Username, set[Follower]] = {}
        self.sessions: dict[SessionId, set[Follower]] = {}

    def get(self, conversation: str) -> Followed | None:
        """Return a conversation if it is followed here."""
        return self._followed.get(conversation)

    def conversations(self) -> list[Followed]:
        """Return all conversations that are followed here."""
        return list(self._followed.values())

    def all(self) -> list[Follower]:
        """Return all connections."""
        return [follower for one in self.users.values() for follower in one]

    def enter(self, follower: Follower) -> None:
        """Keep a connection that is signed in."""
        is_first = follower.username not in self.users
        self.users.setdefault(follower.username, set()).add(follower)
        self.sessions.setdefault(follower.session.session_id, set()).add(follower)
        if is_first:
            self.noticed(follower.username)

    def renew(self, follower: Follower, session: Session) -> None:
        """Give a connection another session of the same user."""
        discard(self.sessions, follower.session.session_id, follower)
        follower.session = session
        self.sessions.setdefault(session.session_id, set()).add(follower)

    def leave(self, follower: Follower) -> None:
        """Forget a connection, and what it follows."""
        follower.stage = Stage.GONE
        for conversation in tuple(follower.conversations):
            self.detach(follower, conversation)
        discard(self.users, follower.username, follower)
        discard(self.sessions, follower.session.session_id, follower)
        if follower.username not in self.users:
            self.noticed(follower.username)

    def attach(self, follower: Follower, followed: Followed, position: Position) -> None:
        """Let a connection follow a held conversation from a position on."""
        followed.positions[follower] = position
        followed.markers_told.setdefault(follower.username, 0)
        follower.conversations.add(followed.conversation)

    def detach(self, follower: Follower, conversation: ConversationId) -> None:
        """Let a connection not follow a conversation any more."""
        follower.conversations.discard(conversation)
        followed = self._followed.get(conversation)
        if followed is not None and followed.positions.pop(follower, None) is not None:
            if not self._is_followed_by_others(follower, followed):
                followed.markers_told.pop(follower.username, None)
            self._drop_unless_followed(followed)

    def told_markers(self, follower: Follower, markers: Mapping[str, int]) -> None:
        """Note what a connection is told of its user's markers; others of theirs are not told."""
        for conversation, seq in markers.items():
            followed = self._followed.get(conversation)
            if followed is not None and not self._is_followed_by_others(follower, followed):
                followed.told_marker(follower.username, seq)

    @contextmanager
    def held(self, conversation: ConversationId) -> Iterator[Followed]:
        """Follow a conversation for somebody who is about to: its head is kept from here on."""
        followed = self._followed.get(conversation)
        if followed is None:
            followed = self._followed[conversation] = Followed(conversation)
        followed.holds += 1
        try:
            yield followed
        finally:
            followed.holds -= 1
            self._drop_unless_followed(followed)

    def _is_followed_by_others(self, follower: Follower, followed: Followed) -> bool:
        """Return whether another connection of the same user follows a conversation."""
        of_user = self.users.get(follower.username, ())
        return any(one is not follower and one in followed.positions for one in of_user)

    def _drop_unless_followed(self, followed: Followed) -> None:
        if not followed.positions and not followed.holds:
            self._followed.pop(followed.conversation, None)


def _raise(markers: dict[Username, int], username: Username, seq: int) -> None:
    if username in markers or len(markers) < MARKERS_MAX:
        markers[username] = max(seq, markers.get(username, 0))


def discard(among: dict[K, set[V]], key: K, one: V) -> None:
    """Take one out of the set of a key, and the key out once its set is empty."""
    of_key = among.get(key)
    if of_key is not None:
        of_key.discard(one)
        if not of_key:
            del among[key]
