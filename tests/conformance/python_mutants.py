"""Defects of `chat4all.client` that the suite has to find, every time."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from chat4all.client import calling, live, tokens
from chat4all.wire import client_frames
from chat4all.wire.client_frames import Resume

Mutant = Callable[[], AbstractContextManager[Any]]


def new_id() -> AbstractContextManager[Any]:
    """A retry has a new id."""
    send = calling.Caller._send

    async def mutant(self: calling.Caller, call: calling.Call, token: str | None) -> Any:
        if "message_id" in (call.body or {}):
            call.body["message_id"] = str(uuid4())
        return await send(self, call, token)

    return patch.object(calling.Caller, "_send", mutant)


def position_first() -> AbstractContextManager[Any]:
    """An event counts as taken when it is handed out."""
    following = live.Events.__anext__

    async def mutant(self: live.Events) -> Any:
        event = await following(self)
        assert self._in_hand is not None
        self._live.take(self._in_hand)
        return event

    return patch.object(live.Events, "__anext__", mutant)


def no_positions() -> AbstractContextManager[Any]:
    """A resume has no positions."""

    def mutant(_: dict[str, str], generation: str | None, more: bool, ref: str) -> Resume:
        return Resume({}, generation, more, ref)

    return patch.object(client_frames, "Resume", mutant)


def refresh_each() -> AbstractContextManager[Any]:
    """Each of those who wait for a token refreshes."""

    async def mutant(self: tokens.Tokens, refused: str | None = None) -> str:
        if self._token is None or self._token == refused:
            return await self._renew()
        return self._token

    return patch.object(tokens.Tokens, "get", mutant)


MUTANTS: dict[str, Mutant] = {
    "new-id": new_id,
    "position-first": position_first,
    "no-positions": no_positions,
    "refresh-each": refresh_each,
}
