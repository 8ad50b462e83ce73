"""Runs a command for each message that others send, with who it is from and what it says.

    notifier.py URL USERNAME PASSWORD COMMAND…      such as: notify-send --

Nothing is said of messages that were sent while it was not running, or that you have read elsewhere
within a second.
"""

import asyncio
import sys

from chat4all.client import Client, ClientError, Message, ReadMoved

SECONDS = 1.0


class Notifier:
    """Tells of messages that stay unread for a while."""

    def __init__(self, chat: Client, username: str, command: list[str]) -> None:
        self._chat = chat
        self._username = username
        self._command = command
        self._titles: dict[str, str] = {}
        self._read: dict[str, int] = {}

    def read(self, conversation: str, seq: int) -> None:
        """Note how far the user has read on another device."""
        self._read[conversation] = max(seq, self._read.get(conversation, 0))

    async def tell(self, message: Message) -> None:
        """Run the command for a message, unless it is read by then."""
        await asyncio.sleep(SECONDS)
        if (message.seq or 0) > self._read.get(message.conversation_id, 0):
            sender, text = message.sender_id, message.content or message.kind
            title = await self._title(message.conversation_id)
            words = [*self._command, f"{sender} ({title})" if title else sender, text]
            process = await asyncio.create_subprocess_exec(*words)
            await process.wait()

    async def _title(self, conversation: str) -> str:
        if conversation not in self._titles:
            try:
                found = await self._chat.conversation(conversation)
            except ClientError:  # the user was removed meanwhile, or the server is unavailable
                return ""
            self._titles[conversation] = found.title or ""
        return self._titles[conversation]


async def main(url: str, username: str, password: str, *command: str) -> None:
    """Tell for ever."""
    async with Client(url, username, password) as chat, asyncio.TaskGroup() as telling:
        notifier = Notifier(chat, username, list(command))
        async for event in chat.events():
            for message in event.new_messages:
                if message.sender_id != username:
                    telling.create_task(notifier.tell(message))
            if isinstance(event, ReadMoved) and event.username == username:
                notifier.read(event.conversation_id, event.seq)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
