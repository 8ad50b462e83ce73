"""Copies one conversation into another, each message once: its text, edits and deletion.

    bridge.py URL USERNAME PASSWORD SOURCE TARGET

It begins with the first message. Kill it whenever you like: what it did not finish it does again
under the same ids, which the server takes once. What is longer than a message may be, with the name
before it, is cut. Edits and deletions are not copied if more than 1,000 messages and changes were
missed meanwhile, and nothing is that came just before or after the server was restored.
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

CONTENT_MAX = 10_000
"""Characters of a message."""


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
            copy = self._id(f"message {message.seq}")
            await self._chat.send(self._target, _text(message), message_id=copy, mark_read=False)

    async def change(self, message: Message) -> None:
        """Do to the copy what was done to the message, if it was more than a reaction.

        The ids say what was done, and not by which event it was told: that may be told again.
        """
        copy = self._id(f"message {message.seq}")
        with suppress(NotFound, Conflict):  # deleted before it was copied
            if message.deleted_at is not None:
                change = self._id(f"deletion {message.seq}")
                await self._chat.delete(self._target, copy, change_id=change)
            elif message.edited_at is not None:
                await self.copy(message)  # it may be accepted by an earlier run and not be stored
                change = self._id(f"edit {message.seq} {message.edited_at}")
                await self._chat.edit(self._target, copy, _text(message), change_id=change)


def _text(message: Message) -> str:
    return f"{message.sender_id}: {message.content or message.kind}"[:CONTENT_MAX]


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
            match event:
                case MessageChanged(message) if message.conversation_id == source:
                    await bridge.change(message)
            await file.save(chat.positions)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
