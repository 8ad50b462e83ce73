"""Whether anything of a conversation was announced since: until then, what was read holds."""

from collections.abc import Callable, Mapping

from cachetools import LRUCache

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import AllRead
from chat4all.domain.people import Role

CONVERSATIONS_MAX = 20_000


class Unchanged:
    """Stands for a conversation as long as nothing of it was announced; compared by identity.

    `all_read` is what was found out meanwhile, for these members, and goes with it.
    """

    __slots__ = ("all_read",)

    def __init__(self) -> None:
        self.all_read: tuple[Mapping[Username, Role], AllRead] | None = None


class Changes:
    """What the feed announces, by conversation.

    `hearing` says whether changes are being heard of; while they are not, anything may have.
    """

    def __init__(self, hearing: Callable[[], bool]) -> None:
        self._hearing = hearing
        self._unchanged: LRUCache[str, Unchanged] = LRUCache(CONVERSATIONS_MAX)

    def announced(self, conversation: str) -> None:
        """Take note of a change: what holds of the conversation is to be found out anew."""
        self._unchanged.pop(conversation, None)

    def so_far(self, conversation: ConversationId) -> Unchanged:
        """Return what `none_since` wants. Ask before reading: a change may overtake the answer."""
        if not self._hearing():
            return Unchanged()  # for this once
        found = self._unchanged.get(conversation)
        if found is None:
            found = self._unchanged[conversation] = Unchanged()
        return found

    def none_since(self, conversation: ConversationId, then: Unchanged) -> bool:
        """Say whether what was read after `then` still holds."""
        return self._unchanged.get(conversation) is then and self._hearing()
