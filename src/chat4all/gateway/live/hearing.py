"""The live feed's one listener in a gateway: it hands what is announced to who needs it."""

from chat4all.domain.events import PRESENCE, USER
from chat4all.gateway.live.hints import MembershipHints
from chat4all.gateway.live.presence import Presence
from chat4all.ports.feed import Decode, FeedListener


class Hearing:
    """Tells what is about people from what is about conversations, by its key."""

    def __init__(
        self, conversations: FeedListener, presence: Presence, hints: MembershipHints
    ) -> None:
        self._conversations = conversations
        self._presence = presence
        self._hints = hints

    def announced(self, key: str, decode: Decode) -> None:
        """Handle an announcement; see `FeedListener`."""
        if key.startswith(PRESENCE):
            self._presence.announced(key, decode)
        elif key.startswith(USER):
            self._hints.heard(key)
        else:
            self._conversations.announced(key, decode)

    def lost(self) -> None:
        """Note that announcements are missing; see `FeedListener`."""
        self._conversations.lost()
        self._presence.lost()

    def alive(self, seconds_ago: float = 0.0) -> None:
        """Note that the feed is heard; see `FeedListener`."""
        self._conversations.alive(seconds_ago)
