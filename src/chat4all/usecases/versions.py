"""Versions of conversations: whether anything was announced since something was read.

What was read may be used again while its version is current, and only while the live feed is heard
(EXACTNESS 18a): a feed that is silent may have lost the announcement that would have changed it.
"""

import time
from collections.abc import Callable, Mapping
from math import inf

from cachetools import LRUCache

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import AllRead
from chat4all.domain.people import Role

CONVERSATIONS_MAX = 20_000

Clock = Callable[[], float]


class ConversationVersion:
    """A conversation with these members, until anything of it is announced.

    Compared by identity. Once it is superseded `members` is None: a reference to it must not keep
    them. `all_read` is what was found out meanwhile, for these members, and goes with it.
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
    """The present version of each conversation, by what the live feed announces.

    A feed that was not heard for `silence_seconds` is silent; `clock` gives seconds that only grow.
    """

    def __init__(self, silence_seconds: float, *, clock: Clock = time.monotonic) -> None:
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._heard = -inf
        self._versions = _Versions(CONVERSATIONS_MAX)

    def heard(self) -> None:
        """Take note that the feed was heard now.

        After a silence nothing that was current before it is: what the feed delivers late may come
        in any order.
        """
        if not self.is_heard():
            self.supersede_all()
        self._heard = self._clock()

    def is_heard(self) -> bool:
        """Say whether the feed was heard lately; while it was not, anything may have changed."""
        return self._clock() < self._heard + self._silence_seconds

    def supersede(self, conversation: str) -> None:
        """Take note of a change: what holds of the conversation is to be found out anew."""
        found = self._versions.pop(conversation, None)
        if found is not None:
            found.members = None

    def supersede_all(self) -> None:
        """Take note that any conversation may have changed."""
        while self._versions:
            self._versions.popitem()

    def current(
        self, conversation: ConversationId, members: Mapping[Username, Role]
    ) -> ConversationVersion:
        """Return what `is_current` wants. Ask before reading: a change may overtake the answer."""
        if not self.is_heard():
            return ConversationVersion(members)  # for this once
        found = self._versions.get(conversation)
        if found is None or found.members is not members:
            self.supersede(conversation)
            found = self._versions[conversation] = ConversationVersion(members)
        return found

    def is_current(self, conversation: ConversationId, version: ConversationVersion) -> bool:
        """Say whether what was read at `version` still holds."""
        return self._versions.get(conversation) is version and self.is_heard()
