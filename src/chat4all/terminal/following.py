"""Following conversations over runs: where a run begins, and what counts as printed."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from chat4all.client import (
    Client,
    Connected,
    Event,
    ListedConversation,
    Page,
    Positions,
    Unavailable,
)
from chat4all.terminal.cursors import Cursor
from chat4all.terminal.failing import NOT_FOUND, Failed
from chat4all.terminal.meaning import every_conversation


@dataclass
class Followed:
    """What a run of `chat4all tail` follows: all conversations, or the one that `only` names."""

    chat: Client
    cursor: Cursor
    only: str | None
    since: Positions | None
    listed: dict[str, ListedConversation]
    shown: Page | None = None
    """What it begins with."""
    is_current: bool = False
    """Whether there was a connection that had everything."""

    def keep(self) -> None:
        """Keep for the next run how far events were taken."""
        if self.since is None and not self.is_current:
            return  # of some conversations only: the others would be new ones then
        now = self.chat.positions
        positions = now["positions"]
        if self.only is not None:
            positions = {key: text for key, text in positions.items() if key == self.only}
        self.cursor.keep(positions, now["generation"])


async def begin(chat: Client, cursor: Cursor, only: str | None, last: int | None) -> Followed:
    """Return where to begin: where the cursor is, or now, or `last` messages ago.

    Raises what a request does: whether somebody is signed in, and the server answers.
    """
    listed = {one.conversation_id: one for one in await every_conversation(chat)}
    if last is not None:
        cursor.forget()
    kept = cursor.positions
    if only is None:
        since = None if kept is None else Positions(positions=kept, generation=cursor.generation)
        return Followed(chat, cursor, only, since, listed)
    if only not in listed:
        raise Failed("you are in no such conversation", NOT_FOUND)
    # With its position each of the others is followed from now on, and nothing of it is fetched.
    positions = {key: one.position for key, one in listed.items()} | (kept or {})
    shown = await anext(chat.history(only, limit=last), None) if last else None
    if shown is not None:
        positions[only] = shown.position
    since = Positions(positions=positions, generation=cursor.generation)
    return Followed(chat, cursor, only, since, listed, shown)


async def each(followed: Followed, seconds: float | None = None) -> AsyncGenerator[Event, None]:
    """Yield events, for ever. What was done with one is kept before the next one is waited for.

    Raises `Unavailable` where one does not come within so many seconds.
    """
    events = followed.chat.events(followed.since)
    while True:
        asked = asyncio.ensure_future(anext(events))
        try:
            try:
                # Once the next one is asked for, the one before counts as taken.
                await asyncio.sleep(0)
            finally:
                followed.keep()
            async with asyncio.timeout(seconds) as waiting:
                event = await asked
            followed.is_current |= isinstance(event, Connected)
        except TimeoutError:
            if not waiting.expired():
                raise
            raise Unavailable("there is no connection for live events") from None
        finally:
            asked.cancel()
        yield event
