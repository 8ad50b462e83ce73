"""The driver of `chat4all.client`: a program of the suite, played by the client.

python -m tests.conformance.python_client [--mutant NAME]
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import msgspec

from chat4all.client import (
    Client,
    ClientError,
    Connected,
    Defect,
    Disconnected,
    Event,
    NotSignedIn,
    Refused,
    Typing,
    Unavailable,
)
from tests.conformance.data import END, Json
from tests.conformance.python_mutants import MUTANTS
from tests.conformance.running import Drive, Go, Tell
from tests.conformance.stdio import run_as_command

KINDS = {NotSignedIn: "NotSignedIn", Refused: "Refused", Unavailable: "Unavailable"}


def failure(error: ClientError) -> Json:
    """Return what the suite calls an error."""
    if isinstance(error, Defect):
        return {"error": "Defect", "code": error.code}
    kind = next(name for one, name in KINDS.items() if isinstance(error, one))
    return {"error": kind, "status": getattr(error, "status", None)}


def line_of(event: Event) -> Json:
    """Return an event as a line."""
    fields: Json = msgspec.to_builtins(event)
    return {"type": type(event).__name__, **fields}


class Program:
    """Does what a program says."""

    def __init__(self, program: Json, tell: Tell, go: Go) -> None:
        self._program = program
        self._tell = tell
        self._go = go
        self._is_dead = False
        self._tokens = list(program["auth"].get("get_token", ()))
        self._chat = self._client()

    def _client(self) -> Client:
        auth = self._program["auth"]
        how = {"get_token": self._get_token} if "get_token" in auth else auth
        queue = {"queue_max": self._program["queue"]} if "queue" in self._program else {}
        client = Client(self._program["url"], **how, **queue)
        client._pace.factor = self._program["pace"]
        return client

    async def _get_token(self) -> str:
        self._tell({"type": "TokenAsked"})
        return str(self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0])

    async def run(self) -> None:
        """Run it to its end."""
        async with self._chat:
            await self._act(0)
            if self._program["listen"]:
                await self._listen()
            if not self._is_dead:
                self._save()

    async def _listen(self) -> None:
        number = 0
        try:
            async for event in self._chat.events(self._program.get("since")):
                self._tell(line_of(event))
                if isinstance(event, Typing) and event.username == END:
                    return
                if not isinstance(event, Connected | Disconnected):
                    number += 1
                    await self._act(number)
                if self._is_dead:
                    return
        except ClientError as error:
            self._tell({"type": "Ended", **failure(error)})

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
            case what:
                line: Json = {"name": action.get("name")}
                fields = {
                    key: value
                    for key, value in action.items()
                    if key not in {"do", "after", "name"}
                }
                try:
                    result = await DOES[what](self._chat, fields)
                except ClientError as error:
                    self._tell({"type": "Failed", **line, **failure(error)})
                else:
                    self._tell({"type": "Result", **line, **result})

    def _save(self) -> None:
        self._tell({"type": "Saved", **self._chat.positions})


async def _send(chat: Client, fields: Json) -> Json:
    return {"message_id": await chat.send(fields.pop("conversation_id"), **fields)}


async def _history(chat: Client, fields: Json) -> Json:
    most = fields.get("limit", 1_000_000)
    found: list[Any] = []
    bound: Json = {"after": 0} if fields.get("direction") == "newer" else {}
    async for page in chat.history(fields["conversation_id"], limit=min(most, 200), **bound):
        found += page if bound else reversed([*page])
        if len(found) >= most:
            break
    return {"messages": msgspec.to_builtins(found[:most])}


async def _conversations(chat: Client, _: Json) -> Json:
    return {"conversations": msgspec.to_builtins([one async for one in chat.conversations()])}


def _doing(method: str) -> Callable[[Client, Json], Awaitable[Json]]:
    async def does(chat: Client, fields: Json) -> Json:
        await getattr(chat, method)(*fields.values())
        return {}

    return does


async def _watch(chat: Client, fields: Json) -> Json:
    await chat.watch(*fields["usernames"])
    return {}


DOES: dict[str, Callable[[Client, Json], Awaitable[Json]]] = {
    "send": _send,
    "history": _history,
    "conversations": _conversations,
    "watch": _watch,
    **{name: _doing(name) for name in ("edit", "delete", "react", "unreact", "read", "typing")},
}


def driver(mutant: str | None = None) -> Drive:
    """Return the driver, with a defect of this name."""

    async def drive(program: Json, tell: Tell, go: Go) -> None:
        with MUTANTS[mutant]() if mutant else nullcontext():
            await Program(program, tell, go).run()

    return drive


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutant", choices=[*MUTANTS])
    run_as_command(driver(parser.parse_args().mutant))
