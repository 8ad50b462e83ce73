"""How a user's command fails: a sentence, and an exit status that scripts can use."""

from typing import Final

from chat4all.domain.errors import CommandRefused

REFUSED: Final = 1
"""Refused, or failed for a reason that has no status of its own."""

NOT_SIGNED_IN: Final = 3
"""Nobody is signed in, the session has ended, or the password is wrong."""

NOT_FOUND: Final = 4
"""There is no such conversation or message, or a name fits several, or a group and a user."""

UNAVAILABLE: Final = 5
"""The server does not answer, or has too much to do. Nothing was done: the same may be tried later.
"""

OUTCOME_UNKNOWN: Final = 6
"""It may have been done. The message says how to try again without doing it twice."""


class Failed(CommandRefused):
    """A command fails; the message is one sentence, and `status` the exit status."""

    def __init__(self, sentence: str, status: int = REFUSED) -> None:
        super().__init__(sentence)
        self.status = status


def not_signed_in(sentence: str) -> Failed:
    """Return the failure of somebody who has to sign in."""
    return Failed(sentence, NOT_SIGNED_IN)
