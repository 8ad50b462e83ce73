"""How far a client has seen a conversation."""

from typing import NamedTuple


class Position(NamedTuple):
    """Everything up to the message `seq` and up to the change `change`.

    Written `<seq>.<change>`; clients keep it and send it back.
    """

    seq: int
    change: int = 0

    def __str__(self) -> str:
        return f"{self.seq}.{self.change}"
