"""Copies one conversation into another, each message once: its texts, edits and deletions.

    bridge.py URL USERNAME PASSWORD SOURCE TARGET

It begins with the first message. Kill it whenever you like: what it did not finish it does again
under the same ids, which the server takes once.
"""

import asyncio
import sys
import uuid
from contextlib import suppress

from chat4all.client import (
    Client,
    Conflict,
    Message,
    MessageChanged,
    NotFound,
    Positions,
    PositionsFile,
)


class Bridge:
    """Knows under which ids it copies."""

    def __init__(self, chat: Client, source: str, target: str) -> None:
        self._chat = chat
        self._source = source
        self._target = target

    def _id(self, what: str) -> str:
        return str(uuid.uuid5(uuid.UUID(self._source), f"{self._target} {what}"))

    async def copy(self, message: Message) -> None:
        """Send what a message says, unless it was deleted before it was copied."""
        if message.deleted_at is None:
            text = f"{message.sender_id}: {message.content or message.kind}"
            copy = self._id(f"message {message.seq}")
            await self._chat.send(self._target, text, message_id=copy, mark_read=False)

    async def change(self, event: MessageChanged) -> None:
        """Do to the copy what was done to the message."""
        message = event.message
        copy = self._id(f"message {message.seq}")
        change = self._id(f"change {event.position}")
        with suppress(NotFound, Conflict):  # deleted before it was copied
            if message.deleted_at is not None:
                await self._chat.delete(self._target, copy, change_id=change)
            elif message.edited_at is not None:
                text = f"{message.sender_id}: {message.content}"
                await self._chat.edit(self._target, copy, text, change_id=change)


async def main(url: str, username: str, password: str, source: str, target: str) -> None:
    """Copy for ever."""
    file = PositionsFile("bridge.json")
    beginning: Positions = {"positions": {source: "0.0"}, "generation": None}
    async with Client(url, username, password) as chat:
        bridge = Bridge(chat, source, target)
        async for event in chat.events(file.load() or beginning):
            for message in event.new_messages:
                if message.conversation_id == source:
                    await bridge.copy(message)
            if isinstance(event, MessageChanged) and event.message.conversation_id == source:
                await bridge.change(event)
            await file.save(chat.positions)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
