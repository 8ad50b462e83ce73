"""Creations that had an `Idempotency-Key`; they are kept by the methods that create."""

from typing import Protocol

from chat4all.domain.creations import KeptCreation
from chat4all.domain.ids import Username


class Creations(Protocol):
    """What was created under a key."""

    async def find(self, scope: Username, key: str) -> KeptCreation | None:
        """Return the creation that is kept under a key of this scope, if there is one."""
        ...
