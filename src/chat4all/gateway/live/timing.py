"""How long the states of a socket may last. All times are the event loop's, in seconds."""

from enum import Enum, auto

from chat4all.wire.frames import HEARTBEAT_SECONDS

FIRST_SECONDS = 10.0
"""Within which a client must have signed in; its first message, where the handshake did not."""

TAKE_SECONDS = 30.0
"""Within which a client must take something of what waits for it."""

ARRIVE_SECONDS = 30.0
"""Within which a message must arrive whole: 64 KiB at 17 kbit/s."""

CLOSE_SECONDS = 5.0
"""Within which a client must answer a close frame."""


class Due(Enum):
    """What a state that lasts too long leads to."""

    ABORT = auto()
    """The client has not answered the close frame."""
    STUCK = auto()
    """The client takes nothing."""
    SIGNED_OUT = auto()
    """The client has not sent its first message."""
    INCOMPLETE = auto()
    """A message has begun and does not end."""
    HEARTBEAT = auto()


class Timing:
    """What a socket did by the last look, and since when. There are no timers."""

    __slots__ = (
        "_closing_at",
        "_incomplete",
        "_incomplete_since",
        "_messages",
        "_must_sign_in",
        "_now",
        "_quiet_since",
        "_taken",
        "_taken_at",
        "_written",
        "opened_at",
    )

    def __init__(self, now: float, *, must_sign_in: bool) -> None:
        self.opened_at = self._now = self._quiet_since = self._taken_at = now
        self._must_sign_in = must_sign_in
        self._closing_at: float | None = None
        self._written = self._taken = self._messages = 0
        self._incomplete: int | None = None
        """Which message is incomplete, counted from 0."""
        self._incomplete_since = now

    def message_came(self) -> None:
        """Note a whole message."""
        self._must_sign_in = False
        self._messages += 1

    def closing(self) -> None:
        """Note that a close frame was sent."""
        self._closing_at = self._now

    def look(self, now: float, written: int, waiting: int, *, is_incomplete: bool) -> Due | None:
        """Return what is due.

        `written`: bytes since the connection was made, of which so many are `waiting` here.
        """
        self._now = now
        if self._closing_at is not None:
            return Due.ABORT if now - self._closing_at >= CLOSE_SECONDS else None
        if not waiting or written - waiting != self._taken:
            self._taken, self._taken_at = written - waiting, now
        elif now - self._taken_at >= TAKE_SECONDS:
            return Due.STUCK
        if self._must_sign_in and now - self.opened_at >= FIRST_SECONDS:
            return Due.SIGNED_OUT
        if not is_incomplete:
            self._incomplete = None
        elif self._incomplete != self._messages:
            self._incomplete, self._incomplete_since = self._messages, now
        elif now - self._incomplete_since >= ARRIVE_SECONDS:
            return Due.INCOMPLETE
        if written != self._written:
            self._written, self._quiet_since = written, now
        elif now - self._quiet_since >= HEARTBEAT_SECONDS:
            return Due.HEARTBEAT
        return None
