"""Models of Hypothesis whose steps are coroutines."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from chat4all.domain.errors import Refused

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
