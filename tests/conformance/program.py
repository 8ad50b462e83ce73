"""What every driver in Python does with a program; its client is what differs."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, ClassVar

from tests.conformance.data import END, Json
from tests.conformance.running import Go, Tell


class Program(ABC):
    """Does what a program says."""

    failures: ClassVar[type[Exception]]
    """What the client raises."""

    def __init__(self, program: Json, tell: Tell, go: Go) -> None:
        self._program = program
        self._tell = tell
        self._go = go
        self._is_dead = False

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Any]:
        """Return the context in which the client is open."""

    @abstractmethod
    def events(self) -> AsyncGenerator[Json, None]:
        """Yield each event as its line."""

    @abstractmethod
    async def result(self, action: Json) -> Json:
        """Do an action of the client; return what its line has."""

    @abstractmethod
    def saved(self) -> Json:
        """Return the positions, with their generation."""

    @abstractmethod
    def failure(self, error: Any) -> Json:
        """Return what the line of an error has."""

    async def run(self) -> None:
        """Run it to its end."""
        async with self.opened():
            await self._act(0)
            if self._program["listen"]:
                await self._listen()
            if not self._is_dead:
                self._save()

    async def _listen(self) -> None:
        number = 0
        try:
            async with aclosing(self.events()) as events:
                async for event in events:
                    self._tell(event)
                    if event["type"] == "Typing" and event["username"] == END:
                        return
                    if event["type"] not in {"Connected", "Disconnected"}:
                        number += 1
                        await self._act(number)
                    if self._is_dead:
                        return
        except self.failures as error:
            self._tell({"type": "Ended", **self.failure(error)})

    async def _act(self, number: int) -> None:
        for action in self._program["actions"]:
            if action["after"] == number and not self._is_dead:
                await self._do(action)

    async def _do(self, action: Json) -> None:
        match action["do"]:
            case "together":
                await asyncio.gather(*map(self._do, action["actions"]))
            case "pause":
                self._tell({"type": "Paused"})
                await self._go()
            case "save":
                self._save()
            case "die":
                self._save()
                self._is_dead = True
            case _:
                line: Json = {"name": action.get("name")}
                try:
                    result = await self.result(action)
                except self.failures as error:
                    self._tell({"type": "Failed", **line, **self.failure(error)})
                else:
                    self._tell({"type": "Result", **line, **result})

    def _save(self) -> None:
        self._tell({"type": "Saved", **self.saved()})
