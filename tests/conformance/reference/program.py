"""Does what a program says, with the least of a client that can."""

from collections.abc import AsyncGenerator, Collection

from tests.conformance.data import Json
from tests.conformance.program import Program
from tests.conformance.reference.calls import Calls, Failed
from tests.conformance.reference.following import Following
from tests.conformance.running import Drive, Go, Tell


class Playing(Program):
    """Does what a program says, with these defects."""

    failures = Failed

    def __init__(self, program: Json, tell: Tell, go: Go, defects: Collection[str]) -> None:
        super().__init__(program, tell, go)
        self._calls = Calls(program, tell, defects)
        self._following = Following(program, self._calls, defects)

    def opened(self) -> Calls:
        return self._calls

    def events(self) -> AsyncGenerator[Json, None]:
        return self._following.events()

    async def result(self, action: Json) -> Json:
        if action["do"] not in {"typing", "watch"}:
            return await self._calls.do(action)
        fields = {k: v for k, v in action.items() if k in {"conversation_id", "usernames"}}
        await self._following.say(type=action["do"], **fields)
        return {}

    def saved(self) -> Json:
        return {
            "positions": dict(self._following.taken),
            "generation": self._following.generation,
        }

    def failure(self, error: Failed) -> Json:
        return error.fields


def reference(*defects: str) -> Drive:
    """Return the driver, with these defects."""

    async def drive(program: Json, tell: Tell, go: Go) -> None:
        await Playing(program, tell, go, defects).run()

    return drive
