"""What was changed in the directory and the sessions, kept for a while for those who cache it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Subject(StrEnum):
    """What an entry of the outbox is about; its key is that thing's id."""

    MEMBERS = "members"
    """Who is in a conversation."""

    SESSION = "session"
    USER = "user"

    ALIAS = "alias"
    """A user was erased, and is shown under another name from now on."""


class OutboxEntry(NamedTuple):
    """Something that changed: what is cached of it may no longer be true."""

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
    """The changes, for those who cache what is changed."""

    async def after(self, position: int | None) -> OutboxPage:
        """Return at least every change that was made after `position` and is in effect now.

        With None only the position is of interest: nothing is cached yet.
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

    def add_listener(self, listener: ChangeListener) -> None:
        """Call a listener for every change from now on; it must have nothing cached yet."""
        ...


class OutboxTrimming(Protocol):
    """The changes, for the process that keeps them."""

    async def trim(self) -> int:
        """Drop some of the entries that are too old, and return how many they were; 0 at the end.

        A reader that asks after a position that may be gone is told so (`complete`).
        """
        ...
