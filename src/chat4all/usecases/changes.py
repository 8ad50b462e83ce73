"""Whether anything of a conversation was announced since: until then, what was read holds."""

from collections.abc import Callable, Mapping

from cachetools import LRUCache

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import AllRead
from chat4all.domain.people import Role

CONVERSATIONS_MAX = 20_000


class Unchanged:
    """A conversation with these members, as long as nothing of it is announced.

    Compared by identity. Afterwards `members` is None: whoever still refers to it shall not keep
    them. `all_read` is what was found out meanwhile, for these members, and goes with it.
    """

    __slots__ = ("all_read", "members")

    def __init__(self, members: Mapping[Username, Role]) -> None:
        self.members: Mapping[Username, Role] | None = members
        self.all_read: AllRead | None = None


class _Remembered(LRUCache[str, Unchanged]):
    def popitem(self) -> tuple[str, Unchanged]:
        conversation, forgotten = super().popitem()
        forgotten.members = None
        return conversation, forgotten


class Changes:
    """What the feed announces, by conversation.

    `hearing` says whether changes are being heard of; while they are not, anything may have.
    """

    def __init__(self, hearing: Callable[[], bool]) -> None:
        self._hearing = hearing
        self._unchanged = _Remembered(CONVERSATIONS_MAX)

    def announced(self, conversation: str) -> None:
        """Take note of a change: what holds of the conversation is to be found out anew."""
        found = self._unchanged.pop(conversation, None)
        if found is not None:
            found.members = None

    def forget_all(self) -> None:
        """Take note that any conversation may have changed."""
        while self._unchanged:
            self._unchanged.popitem()

    def so_far(self, conversation: ConversationId, members: Mapping[Username, Role]) -> Unchanged:
        """Return what `none_since` wants. Ask before reading: a change may overtake the answer."""
        if not self._hearing():
            return Unchanged(members)  # for this once
        found = self._unchanged.get(conversation)
        if found is None or found.members is not members:
            self.announced(conversation)
            found = self._unchanged[conversation] = Unchanged(members)
        return found

    def none_since(self, conversation: ConversationId, then: Unchanged) -> bool:
        """Say whether what was read after `then` still holds."""
        return self._unchanged.get(conversation) is then and self._hearing()
