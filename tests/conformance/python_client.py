"""The driver of `chat4all.client`: a program of the suite, played by the client.

python -m tests.conformance.python_client [--mutant NAME]
"""

import argparse
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import msgspec

from chat4all.client import (
    Client,
    ClientError,
    Defect,
    Event,
    NotSignedIn,
    Refused,
    Unavailable,
)
from tests.conformance.data import Json
from tests.conformance.program import Program
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
    fields: Json = msgspec.to_builtins(event, enc_hook=failure)
    error = fields.pop("error", {})
    return {"type": type(event).__name__, **fields, **error}


class Playing(Program):
    """Does what a program says, with the client."""

    failures = ClientError

    def __init__(self, program: Json, tell: Tell, go: Go) -> None:
        super().__init__(program, tell, go)
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

    def opened(self) -> Client:
        return self._chat

    async def events(self) -> AsyncGenerator[Json, None]:
        async for event in self._chat.events(self._program.get("since")):
            yield line_of(event)

    async def result(self, action: Json) -> Json:
        fields = {k: v for k, v in action.items() if k not in {"do", "after", "name"}}
        return await DOES[action["do"]](self._chat, fields)

    def saved(self) -> Json:
        return {**self._chat.positions}

    def failure(self, error: ClientError) -> Json:
        return failure(error)


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
            await Playing(program, tell, go).run()

    return drive


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutant", choices=[*MUTANTS])
    run_as_command(driver(parser.parse_args().mutant))
