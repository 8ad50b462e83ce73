"""How long the client waits."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2

CALL_SECONDS = 30.0
"""One call with all its tries, unless the program says otherwise."""

CHECK_SECONDS = 600.0
"""For which a file that is being checked is waited for."""

TRY_SECONDS = 10.0
"""One request, or one handshake of a socket."""

QUEUE_SECONDS = 30.0
"""For which a server keeps a request for a file in a queue, before it says that there are too many.
"""

HELLO_SECONDS = 15.0
"""From the handshake to `hello`."""

SILENCE_SECONDS = 10.0
"""After a heartbeat is due; then the connection is taken for dead."""

CLOSE_SECONDS = 1.0
"""For the other side to answer a close frame."""

LOGOUT_SECONDS = 1.0
"""For ending a session that nobody can go on with."""

SLOW_SECONDS = 20.0
"""For which a full queue of events is waited for. The server gives up after 30 s."""

RENEWED_AT = 0.8
"""The share of its lifetime after which a token is renewed."""

LASTS = 0.95
"""The share of its lifetime for which it is used, whether or not there is a next one yet."""

ASK_SECONDS = 30.0
"""For a program's own function to return a token."""

RENEWED_AGAIN_SECONDS = 10.0
"""After a renewal that failed, while the token is still good."""

FIRST_DELAY_SECONDS = 1.0
MOST_DELAY_SECONDS = 20.0


@dataclass(slots=True)
class Pace:
    """Every wait that the client chooses, times `factor`: tests have no time."""

    factor: float = 1.0

    def of(self, seconds: float) -> float:
        """Return how long to wait where `seconds` is asked for."""
        return seconds * self.factor

    def delays(self) -> Iterator[float]:
        """Yield the wait before each further try: full jitter, from the first one on."""
        most = FIRST_DELAY_SECONDS
        while True:
            yield self.of(random.uniform(0, most))  # noqa: S311 - jitter
            most = min(2 * most, MOST_DELAY_SECONDS)


class Standstill:
    """How long nothing has come of a file, and the waits before it is asked for again.

    The time for which a server may have had a request in its queue does not count.
    """

    delays: Iterator[float]

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.end()

    def end(self) -> None:
        """Begin anew, since something has come."""
        self.delays, self._since, self._queued = self._pace.delays(), time.monotonic(), 0.0

    def tried(self, began: float) -> None:
        """Take it that a request, of which nothing came, was in the queue since `began`."""
        self._queued = min(self._queued + time.monotonic() - began, QUEUE_SECONDS)

    def seconds(self) -> float:
        """Return how long it is by now."""
        return time.monotonic() - self._since - self._queued


TRY_TIMEOUT = httpx2.Timeout(TRY_SECONDS)


def file_timeout(checked_seconds: float = 0.0) -> httpx2.Timeout:
    """Return the time-outs of one request for a file, which a server may have in a queue.

    It reads nothing of a body meanwhile. `checked_seconds`: what it may take for the answer after
    that.
    """
    waits = TRY_SECONDS + QUEUE_SECONDS
    return httpx2.Timeout(TRY_SECONDS, read=waits + checked_seconds, write=waits)


def seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds that an answer asks to wait; None where it says a date, or nothing."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
