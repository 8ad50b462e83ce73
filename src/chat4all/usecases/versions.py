"""Versions of conversations, for caches: whether anything was announced since a read.

A result may be used again while its version is current, and only while the live feed is heard
(EXACTNESS 18a): a silent feed may have lost the announcement that would have superseded it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf

from cachetools import LRUCache

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import AllRead
from chat4all.domain.people import Role
from chat4all.ports.outbox import OutboxEntry, Subject

CONVERSATIONS_MAX = 20_000

Clock = Callable[[], float]


class ConversationVersion:
    """A conversation with these members, until the feed announces anything of it.

    Compared by identity. Once superseded `members` is None, so that a cached answer does not keep
    them in memory. `all_read` was computed for these members, and is dropped with the version.
    """

    __slots__ = ("all_read", "members")

    def __init__(self, members: Mapping[Username, Role]) -> None:
        self.members: Mapping[Username, Role] | None = members
        self.all_read: AllRead | None = None


class _Versions(LRUCache[str, ConversationVersion]):
    def popitem(self) -> tuple[str, ConversationVersion]:
        conversation, superseded = super().popitem()
        superseded.members = None
        return conversation, superseded


class ConversationVersions:
    """The current version of each conversation, superseded by what the live feed announces.

    A feed that was not heard for `silence_seconds` is silent; `clock` is monotonic, in seconds.
    """

    def __init__(self, silence_seconds: float, *, clock: Clock = time.monotonic) -> None:
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._heard = -inf
        self._versions = _Versions(CONVERSATIONS_MAX)

    def heard(self, seconds_ago: float = 0.0) -> None:
        """Note that every part of the feed was heard within the last `seconds_ago`.

        A silence supersedes everything: late announcements may come in any order.
        """
        if not self.is_heard():
            self.supersede_all()
        self._heard = max(self._heard, self._clock() - seconds_ago)

    def is_heard(self) -> bool:
        """Return whether the feed was heard lately; if not, anything may have changed."""
        return self._clock() < self._heard + self._silence_seconds

    def supersede(self, conversation: str) -> None:
        """Note a change: earlier reads of the conversation are no longer current."""
        superseded = self._versions.pop(conversation, None)
        if superseded is not None:
            superseded.members = None

    def supersede_all(self) -> None:
        """Note that any conversation may have changed."""
        while self._versions:
            self._versions.popitem()

    def current(
        self, conversation: ConversationId, members: Mapping[Username, Role]
    ) -> ConversationVersion:
        """Return a version for `is_current`. Call it before a read: a change may come during it."""
        if not self.is_heard():
            return ConversationVersion(members)  # never current
        version = self._versions.get(conversation)
        if version is None or version.members is not members:
            self.supersede(conversation)
            version = self._versions[conversation] = ConversationVersion(members)
        return version

    def is_current(self, conversation: ConversationId, version: ConversationVersion) -> bool:
        """Return whether what was read at `version` still holds."""
        return self._versions.get(conversation) is version and self.is_heard()


class SupersededByAliases:
    """Supersedes all versions when a user got an alias: what was read shows the former name."""

    def __init__(self, versions: ConversationVersions) -> None:
        self._versions = versions

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """See `ports.outbox.ChangeListener`."""
        if any(entry.subject is Subject.ALIAS for entry in entries):
            self._versions.supersede_all()

    def all_changed(self) -> None:
        """See `ports.outbox.ChangeListener`."""
        self._versions.supersede_all()
