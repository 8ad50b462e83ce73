"""What the use cases need from the outside: every port, each a small Protocol.

Whoever implements one passes its suite in `tests/contract/`. Every method may raise `Unavailable`
when the thing behind it is away; the caller tries again later. Nothing else that goes wrong in a
driver comes through a port.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from chat4all.domain.ids import (
    BEFORE_ALL,
    ConversationId,
    LogPosition,
    MessageId,
    SessionId,
    Username,
)
from chat4all.domain.messages import (
    Activity,
    AllRead,
    Head,
    Marker,
    Overview,
    Page,
    Receipt,
    StoredMessage,
)
from chat4all.domain.people import (
    Conversation,
    ConversationChanges,
    ConversationType,
    Role,
    Session,
    User,
    UserChanges,
)
from chat4all.domain.records import DeadLetter, LogRecord
from chat4all.domain.refresh_tokens import RefreshHashes


class MessageLog(Protocol):
    """The durable, ordered log of everything that was accepted."""

    async def append(self, key: ConversationId, value: bytes) -> LogPosition:
        """Append one record and return its position once it is durable.

        Raises `OutcomeUnknown` when the log did not acknowledge in time (the record may still
        land), `Overloaded` when it was not even tried.
        """
        ...

    async def ping(self) -> None:
        """Return when the log can be written to."""
        ...


class PartitionedLog(MessageLog, Protocol):
    """A log of several partitions, each with an order of its own."""

    def partition_of(self, conversation: ConversationId) -> int:
        """Return the partition in which all records of a conversation belong."""
        ...


@dataclass(frozen=True, slots=True)
class Poll:
    """What a consumer got: records in log order and, by partition, the assignment they came under.

    A partition's assignment number changes whenever the partition was away in between: what was
    remembered under another number must be forgotten.
    """

    records: Sequence[LogRecord]
    assignments: Mapping[int, int]


class LogConsumer(Protocol):
    """The router's side of the log."""

    async def poll(self, limit: int) -> Poll:
        """Wait for records above the last poll's, at most `limit`; may return none."""
        ...

    async def commit(self, through: Sequence[LogPosition]) -> None:
        """Remember that everything up to and with these positions, one a partition, is done."""
        ...


class IdKey(NamedTuple):
    """What makes two messages the same: the id is its sender's, in one conversation."""

    conversation_id: ConversationId
    message_id: MessageId
    sender_id: Username


class IdEntry(NamedTuple):
    """Where an id was first used."""

    seq: int
    position: LogPosition


class NumberedRow(NamedTuple):
    """What there is of the row that a record made.

    Whose it is may not be known: of a row that only some replicas have, a read may repair no more
    than what it asked for. It is to be written again (EXACTNESS 4).
    """

    seq: int
    message_id: MessageId | None
    sender_id: Username | None


@dataclass(frozen=True, slots=True)
class StoreBatch:
    """What one poll of the log comes to, in log order.

    The adapter writes messages, then ids, then markers, then heads, each stage durable before the
    next is begun, or all of it atomically. `through` has the last position that the batch covers in
    each partition: a store that shares a transaction with the log's offset keeps it there.
    """

    through: Sequence[LogPosition]
    messages: Sequence[StoredMessage] = ()
    ids: Mapping[IdKey, IdEntry] = field(default_factory=dict)
    markers: Sequence[Marker] = ()
    heads: Mapping[ConversationId, Head] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShownPage:
    """Consecutive messages as readers see them.

    `body` is a JSON array of `wire.shapes.MessageView`, oldest first; `first` and `last` are the
    numbers at its ends, 0 when it is empty; `more` says whether newer messages follow.
    """

    body: bytes
    first: int
    last: int
    more: bool

    @property
    def size(self) -> int:
        """How many messages it has: their numbers have no holes."""
        return self.last - self.first + 1 if self.first else 0


class AskedOverview(NamedTuple):
    """What is wanted of a conversation: the message of this number, and how far these have read.

    What they have read is at most that number.
    """

    seq: int
    readers: Sequence[Username]


class MessageStore(Protocol):
    """Numbered messages, looked up by number and by id."""

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        """Return each conversation's last *written* message, also where its head was not written.

        For the router. Conversations without messages are left out.
        """
        ...

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        """Return where these ids were first used; unknown ones are left out."""
        ...

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        """Return the rows that these records created; others are left out. For replays."""
        ...

    async def write(self, batch: StoreBatch) -> None:
        """Make the batch durable; writing the same batch again changes nothing.

        Writing an older state over a newer one changes nothing either.
        """
        ...

    async def page(
        self,
        conversation: ConversationId,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> Page:
        """Return up to `limit` consecutive messages, none above the conversation's head.

        The newest ones below `before` (exclusive), or the oldest ones above `after` (exclusive),
        or, with neither, the newest. The cost is that of the page, wherever it is.
        """
        ...

    async def shown(
        self,
        conversation: ConversationId,
        all_read: AllRead,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> ShownPage:
        """Return the messages that `page` would, with the statuses that `all_read` gives them.

        History is read far more often than anything else; a store that can hand out text has no
        need to make objects first.
        """
        ...

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        """Return how far each reader has come, at most to the head."""
        ...

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """Return the newest visible message's number and time, however many are asked for.

        Conversations without messages are left out.
        """
        ...

    async def overviews(
        self, asked: Mapping[ConversationId, AskedOverview]
    ) -> Mapping[ConversationId, Overview]:
        """Return what lists show of these conversations, in one round however many they are."""
        ...

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        """Return each reader's `read_seq`, at most the head.

        (A marker may be ahead of what can be seen here.)
        """
        ...

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        """Return the visible messages with this id, one a sender, lowest number first."""
        ...

    async def ping(self) -> None:
        """Return when the store can be read."""
        ...


class DeadLetters(Protocol):
    """Records that could not be processed, kept for an operator."""

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is already kept (same position) stays as it is."""
        ...

    async def get(self, position: LogPosition) -> DeadLetter | None:
        """Return the letter of this position, if there is one."""
        ...

    async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
        """Return the oldest `limit` letters above a position, in log order."""
        ...

    async def replayed(self, position: LogPosition, by: LogPosition) -> None:
        """Keep that this letter was appended again as the record at `by`; the last one counts."""
        ...


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something that connected people should see now. `key` says whom it may concern.

    One of the others is given: a message that was stored, or a marker that moved.
    """

    key: str
    message: StoredMessage | None = None
    marker: Marker | None = None


class Subscription(Protocol):
    """A live view of the feed from its beginning on."""

    async def next(self) -> Sequence[LiveEvent]:
        """Wait for events and return them in order.

        Raises `Overloaded` when this subscriber was too slow and has lost some: it must read the
        store and subscribe again.
        """
        ...


class Announcements(Protocol):
    """The router's side of the live feed."""

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Hand the events to every subscriber, in order. Never waits for a slow one."""
        ...


class LiveFeed(Announcements, Protocol):
    """Announcements from the router to everybody who holds connections."""

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Receive everything that is announced after the context is entered."""
        ...


class Joined(NamedTuple):
    """One of a user's memberships; `joined_at` is empty where that is not known."""

    conversation_id: ConversationId
    role: Role
    joined_at: str


@dataclass(frozen=True, slots=True)
class Detail:
    """What lists show of a conversation.

    `members` are at most `LISTED_MEMBERS_MAX`, by name; `count` is how many there are. `peer` is
    the other one of a private conversation, by their alias if they were erased.
    """

    type: ConversationType
    title: str | None
    created_at: str
    metadata: Mapping[str, str]
    members: Mapping[Username, Role]
    count: int
    peer: Username | None


LISTED_MEMBERS_MAX = 100
"""So that a list costs the same whatever groups are in it."""


class Memberships(Protocol):
    """A user's conversations, for lists."""

    async def of_user(self, username: Username) -> Sequence[Joined]:
        """Return all memberships of a user."""
        ...

    async def details(
        self, conversations: Sequence[ConversationId], viewer: Username
    ) -> Mapping[ConversationId, Detail]:
        """Return what a member sees of these conversations, in one round however many they are.

        What does not exist any more is left out.
        """
        ...


class Users(Protocol):
    """People who can sign in, and what became of those who no longer can."""

    async def add_user(self, user: User, password_hash: bytes) -> None:
        """Create a user. Raises `AlreadyTaken` when the username or the e-mail is in use.

        A username is in use for ever, also when its user was erased.
        """
        ...

    async def user(self, username: Username) -> User | None:
        """Return the user of this name, if there is one that was not erased."""
        ...

    async def find_users(self, prefix: str, limit: int, after: str = "") -> Sequence[User]:
        """Return users above the name `after`, by name, at most `limit`.

        With a `prefix` only those whose username or display name begins with it, whatever its
        case. Users who are disabled are not among them.
        """
        ...

    async def password_hash(self, username: Username) -> bytes | None:
        """Return what this user's password is checked against, if such a user may sign in."""
        ...

    async def change_user(
        self, username: Username, changes: UserChanges, keep: SessionId | None = None
    ) -> User:
        """Change a user and return them as they are now.

        A new password ends all their sessions but `keep`. Raises `NotFound`, and `AlreadyTaken`
        for an e-mail in use.
        """
        ...

    async def disable_user(self, username: Username, *, disabled: bool = True) -> None:
        """Keep a user from signing in and end their sessions; or let them in again."""
        ...

    async def erase_user(self, username: Username) -> None:
        """Erase what is known of a user, and end their sessions and memberships.

        Their messages stay, under an alias (`aliases`). A group that they alone owned goes to its
        first admin, or else to its first member; one without other members is deleted.
        """
        ...

    async def aliases(self, usernames: Sequence[Username]) -> Mapping[Username, Username]:
        """Return under which names erased users are shown; others are left out."""
        ...


class Directory(Protocol):
    """Conversations and who is in them.

    `by` is who asks. Whether they may is found out in the transaction that does it, by the rules of
    `domain.roles`, and raised as those say; None is the operator, who may do everything.
    """

    async def add_conversation(self, conversation: Conversation) -> Conversation:
        """Create a conversation and return it.

        For a private one whose pair already has one, that first one is returned and nothing is
        created, however many ask at once. Raises `NotFound` when a member is not a user, and
        `AlreadyTaken` when the id is in use.
        """
        ...

    async def conversation(self, conversation: ConversationId) -> Conversation | None:
        """Return a conversation with its members, if there is one."""
        ...

    async def members(self, conversation: ConversationId) -> Mapping[Username, Role]:
        """Return who is in a conversation; nobody is in one that does not exist."""
        ...

    async def add_member(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Let a user in.

        Raises `AlreadyTaken` for a member, `NotFound` for what is not there, and `Conflict` when it
        is full.
        """
        ...

    async def change_role(
        self,
        conversation: ConversationId,
        username: Username,
        role: Role,
        by: Username | None = None,
    ) -> None:
        """Give a member another role."""
        ...

    async def remove_member(
        self, conversation: ConversationId, username: Username, by: Username | None = None
    ) -> None:
        """Remove a member; who removes themselves leaves."""
        ...

    async def change_conversation(
        self,
        conversation: ConversationId,
        changes: ConversationChanges,
        by: Username | None = None,
    ) -> None:
        """Change its title or notes."""
        ...

    async def delete_conversation(
        self, conversation: ConversationId, by: Username | None = None
    ) -> None:
        """End a conversation for everybody; its id is not given out again."""
        ...

    async def ping(self) -> None:
        """Return when the directory can answer."""
        ...


class Rotation(NamedTuple):
    """What came of a refresh token: the session that goes on, or the one that was ended."""

    session: Session | None = None
    ended: SessionId | None = None


class Sessions(Protocol):
    """Who is signed in. A token is good only while its session is here."""

    async def start(
        self, session: Session, refresh: RefreshHashes, password_hash: bytes | None = None
    ) -> None:
        """Keep a new session, with the first token that refreshes it.

        A user has a thousand at most: with one more, the one not used for longest is ended.

        `password_hash` is what the password was compared with: if that is no longer the user's, or
        the user may no longer sign in, it raises `NotSignedIn`. Raises `AlreadyTaken` when the id
        is in use.
        """
        ...

    async def get(self, session: SessionId) -> Session | None:
        """Return the session, if it was started and has not been ended."""
        ...

    async def rotate(
        self, spent: RefreshHashes, token: bytes, now: int, expires_at: int
    ) -> Rotation:
        """Put the hash of another token in the place of the one that is spent now.

        The session then lasts until `expires_at`. A token that is not its family's last one was
        spent before, by a thief or by whoever was robbed: its session is ended. Neither is the case
        when there is no such session.
        """
        ...

    async def of_user(self, username: Username) -> Sequence[Session]:
        """Return a user's sessions, the last used one first."""
        ...

    async def end(self, session: SessionId, username: Username | None = None) -> None:
        """End a session; one that is not there is ended already.

        With a `username`, only that user's: raises `NotFound` for any other.
        """
        ...


class Subject(StrEnum):
    """What an entry of the outbox is about; its key is that thing's id."""

    MEMBERS = "members"
    """Who is in a conversation."""

    SESSION = "session"
    USER = "user"

    ALIAS = "alias"
    """A user was erased, and is shown under another name from now on."""


class OutboxEntry(NamedTuple):
    """Something that changed: what is remembered of it may no longer be true."""

    entry_id: str
    subject: Subject
    key: str


@dataclass(frozen=True, slots=True)
class OutboxPage:
    """What changed since a position, and the position to ask after next.

    An entry may come several times. What is not `complete` must be taken as "everything changed".
    """

    position: int
    entries: Sequence[OutboxEntry]
    complete: bool


class Outbox(Protocol):
    """What was changed in the directory and the sessions, kept for a while."""

    async def after(self, position: int | None) -> OutboxPage:
        """Return at least every change that was made after `position` and is in effect now.

        With None only the position is of interest: nothing is remembered yet.
        """
        ...

    async def trim(self) -> int:
        """Drop some of the entries that are too old, and return how many they were; 0 at the end.

        Whoever asks after a position that may be gone is told so (`complete`).
        """
        ...


class Passwords(Protocol):
    """Hashing that is slow on purpose, away from the event loop."""

    async def hash(self, password: str) -> bytes:
        """Return a salted hash. Raises `Overloaded` when too many wait."""
        ...

    async def verify(self, password: str, password_hash: bytes | None) -> bool:
        """Say whether the password is the one hashed.

        With no hash the answer is no, after the time that a comparison takes: an unknown user
        must not answer faster than a wrong password.
        """
        ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token and the seconds that it is good for."""

    token: str
    expires_in: int


class Tokens(Protocol):
    """Signed access tokens."""

    def issue(self, session: Session, now: int, lifetime_seconds: int) -> AccessToken:
        """Sign a token that is good for so long, and not longer than its session.

        `now` in seconds since 1970.
        """
        ...

    def read(self, token: str, now: int) -> Session:
        """Return whose token this is; `expires_at` is the token's own.

        Raises `NotSignedIn` for any that is not good now.
        """
        ...
