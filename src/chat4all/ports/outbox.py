"""Recent changes of users, conversations and sessions, for processes that cache them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Subject(StrEnum):
    """What an entry of the outbox is about; its key is the id of that."""

    MEMBERS = "members"
    """Who is in a conversation."""

    SESSION = "session"
    USER = "user"

    ALIAS = "alias"
    """A user was erased and has an alias from now on."""


class OutboxEntry(NamedTuple):
    """A change: cached values of its subject may be stale."""

    entry_id: str
    subject: Subject
    key: str


@dataclass(frozen=True, slots=True)
class OutboxPage:
    """The changes after a position, and the position to pass next.

    An entry may come several times. Unless `complete`, anything may have changed.
    """

    position: int
    entries: Sequence[OutboxEntry]
    complete: bool


class Outbox(Protocol):
    """The changes, for readers that drop them from their caches."""

    async def after(self, position: int | None) -> OutboxPage:
        """Return at least every change that was made after `position` and is in effect now.

        None asks for the current position only: nothing is cached yet.
        """
        ...


class ChangeListener(Protocol):
    """A cache of what the outbox is about."""

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """Drop what these entries are about."""
        ...

    def all_changed(self) -> None:
        """Drop everything."""
        ...


class Changes(Protocol):
    """The changes, for listeners in a process that follows the outbox."""

    async def poll(self) -> None:
        """Look for changes now, and tell the listeners. Raises `Unavailable`."""
        ...

    def add_listener(self, listener: ChangeListener) -> None:
        """Call a listener for every change from now on; it must have nothing cached yet."""
        ...


class OutboxTrimming(Protocol):
    """The changes, for the process that owns them."""

    async def trim(self) -> int:
        """Drop some of the entries that are too old and return how many; 0 when none are left.

        A reader whose position may have been dropped gets a page that is not `complete`.
        """
        ...
