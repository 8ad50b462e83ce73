"""How far a client has seen a conversation."""

import re
from typing import NamedTuple

POSITION_PATTERN = "^[0-9]{1,16}[.][0-9]{1,16}$"

_POSITION = re.compile(POSITION_PATTERN.removesuffix("$") + r"\Z")


class Position(NamedTuple):
    """Everything up to the message `seq` and up to the change `change`.

    Written `<seq>.<change>`; clients keep it and send it back.
    """

    seq: int
    change: int = 0

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Return the position that is written so; `ValueError` for any other text."""
        if _POSITION.match(text) is None:
            raise ValueError("not a position")
        seq, _, change = text.partition(".")
        return cls(int(seq), int(change))

    def covers(self, least: "Position") -> bool:
        """Return whether it goes at least as far in both numbers."""
        return self.seq >= least.seq and self.change >= least.change

    def joined(self, other: "Position") -> "Position":
        """Return the position that has the greater of both numbers of each."""
        return Position(max(self.seq, other.seq), max(self.change, other.change))

    def behind(self, head: "Position") -> int:
        """Return how many messages and changes it is short of a head."""
        return max(head.seq - self.seq, 0) + max(head.change - self.change, 0)

    def __str__(self) -> str:
        return f"{self.seq}.{self.change}"


START = Position(0)
"""The position of a conversation without messages."""
