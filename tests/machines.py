"""Models of Hypothesis whose steps are coroutines."""

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from chat4all.domain.errors import Refused
from tests.databases import place_at

T = TypeVar("T")


class AsyncMachine(RuleBasedStateMachine):
    """Runs each step on a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()

    def teardown(self) -> None:
        self._runner.close()

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self._runner.run(wait())

    def tried(self, work: Awaitable[object]) -> type[Refused] | None:
        """Return how something was refused; None when it was done."""
        try:
            self.run(work)
        except Refused as error:
            return type(error)
        return None


class PlaceMachine(AsyncMachine):
    """Has a database of users, conversations and files of its own: `place`."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._opened = place_at(Path(self._folder.name) / "metadata.db")
        self.place = self.run(self._opened.__aenter__())

    def teardown(self) -> None:
        self.run(self._opened.__aexit__(None, None, None))
        super().teardown()
        self._folder.cleanup()
