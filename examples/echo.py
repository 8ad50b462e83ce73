"""Answers each message by itself, once, also if it is killed: echo.py URL USERNAME PASSWORD."""

import asyncio
import sys
import uuid

from chat4all.client import Client, PositionsFile


async def main(url: str, username: str, password: str) -> None:
    seen = PositionsFile("echo.json")
    async with Client(url, username, password) as chat:
        async for event in chat.events(seen.load()):
            for message in event.new_messages:
                if message.content and message.sender_id != username:
                    own = uuid.uuid5(uuid.UUID(message.conversation_id), f"echo {message.seq}")
                    await chat.send(message.conversation_id, message.content, message_id=str(own))
            await seen.save(chat.positions)


asyncio.run(main(*sys.argv[1:]))
