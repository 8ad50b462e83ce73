"""What the server saw, and what was wrong about it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Attempt:
    """One try of a write."""

    kind: str
    """`send`, `edit`, `delete`, `react`, `unreact` or `read`."""

    identifier: str | None
    """`message_id` or `change_id`."""

    fields: dict[str, Any]
    at: float = field(default_factory=time.monotonic)


@dataclass
class Record:
    """Everything that the server saw. What goes on waits for it to change."""

    attempts: list[Attempt] = field(default_factory=list)
    refreshes: list[str] = field(default_factory=list)
    sign_ins: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """Calls by their kind."""

    served: set[tuple[str, int, str]] = field(default_factory=set)
    """Conversation, seq and content of all messages of pages."""

    story: list[str] = field(default_factory=list)
    """A line for each thing that happened."""

    faults: list[str] = field(default_factory=list)
    is_paused: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, line: str) -> None:
        """Add to the story."""
        self.story.append(line)
        self._changed.set()
        self._changed = asyncio.Event()

    def fault(self, text: str) -> None:
        """The client did something wrong."""
        self.faults.append(text)
        self.tell(f"FAULT: {text}")

    def count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.tell(f"call: {kind}")

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so. Whoever waits has a deadline around all."""
        while not is_so():
            await self.next()

    async def next(self) -> None:
        """Wait until something happens."""
        await self._changed.wait()
