"""How far a client has seen a conversation."""

import re
from typing import NamedTuple

_WRITTEN = re.compile(r"([0-9]{1,16})\.([0-9]{1,16})", re.ASCII)


class Position(NamedTuple):
    """Everything up to the message `seq` and up to the change `change`.

    Written `<seq>.<change>`; clients keep it and send it back.
    """

    seq: int
    change: int = 0

    def __str__(self) -> str:
        return f"{self.seq}.{self.change}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Return the position that a client sent back; `ValueError` for what is none."""
        written = _WRITTEN.fullmatch(text)
        if written is None:
            raise ValueError("not a position: <seq>.<change>")
        return cls(int(written[1]), int(written[2]))
