"""Records that could not be processed, kept for an operator."""

from collections.abc import Sequence
from typing import Protocol

from chat4all.domain.ids import BEFORE_ALL, LogPosition
from chat4all.domain.records import DeadLetter


class DeadLetterSink(Protocol):
    """Where the router keeps them."""

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is already kept (same log position) stays as it is.

        Raises `NotAccepted` when one of them is too large to be kept.
        """
        ...


class DeadLetters(Protocol):
    """What operators read of them and note on them."""

    async def get(self, log_position: LogPosition) -> DeadLetter | None:
        """Return the letter at this log position, if there is one."""
        ...

    async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
        """Return the oldest `limit` letters above a log position, in log order."""
        ...

    async def replayed(self, log_position: LogPosition, by: LogPosition) -> None:
        """Note that this letter was appended again as the record at `by`; the last one counts.

        Its value is emptied: a message that is deleted later must not be left here (EXACTNESS 27).
        """
        ...
