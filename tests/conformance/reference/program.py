"""Does what a program says, with the least of a client that can."""

import asyncio
from collections.abc import Collection
from contextlib import aclosing
from typing import Any

from tests.conformance.data import END, Json
from tests.conformance.reference.calls import Calls, Failed
from tests.conformance.reference.following import Following
from tests.conformance.running import Drive, Go, Tell


class Program:
    """Does what a program says."""

    def __init__(self, program: Json, tell: Tell, go: Go, defects: Collection[str]) -> None:
        self._program = program
        self._tell = tell
        self._go = go
        self._calls = Calls(program, tell, defects)
        self._following = Following(program, self._calls, defects)
        self._is_dead = False

    async def run(self) -> None:
        """Run it to its end."""
        async with self._calls:
            await self._act(0)
            if self._program["listen"]:
                await self._listen()
            if not self._is_dead:
                self._save()

    async def _listen(self) -> None:
        number = 0
        try:
            async with aclosing(self._following.events()) as events:
                async for event in events:
                    self._tell(event)
                    if event.get("username") == END:
                        return
                    if event["type"] not in {"Connected", "Disconnected"}:
                        number += 1
                        await self._act(number)
                    if self._is_dead:
                        return
        except Failed as error:
            self._tell({"type": "Ended", **error.fields})

    async def _act(self, number: int) -> None:
        for action in self._program["actions"]:
            if action["after"] == number:
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
                line: dict[str, Any] = {"name": action.get("name")}
                try:
                    result: Json = {}
                    fields = {
                        k: v for k, v in action.items() if k in {"conversation_id", "usernames"}
                    }
                    if action["do"] in {"typing", "watch"}:
                        await self._following.say(type=action["do"], **fields)
                    else:
                        result = await self._calls.do(action)
                except Failed as error:
                    self._tell({"type": "Failed", **line, **error.fields})
                else:
                    self._tell({"type": "Result", **line, **result})

    def _save(self) -> None:
        positions = dict(self._following.taken)
        generation = self._following.generation
        self._tell({"type": "Saved", "positions": positions, "generation": generation})


def reference(*defects: str) -> Drive:
    """Return the driver, with these defects."""

    async def drive(program: Json, tell: Tell, go: Go) -> None:
        await Program(program, tell, go, defects).run()

    return drive
