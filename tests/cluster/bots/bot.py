"""Writes each event about messages down: bot.py URL USERNAME PASSWORD POSITIONS JOURNAL."""

import asyncio
import sys
from pathlib import Path

import msgspec

from chat4all.client import Client, MessageChanged, MessageCreated, MessagesReloaded, PositionsFile


async def main(url: str, username: str, password: str, positions: str, journal: str) -> None:
    file = PositionsFile(positions)
    with Path(journal).open("ab", buffering=0) as out:  # noqa: ASYNC230
        out.write(b"null\n")
        async with Client(url, username, password) as chat:
            async for event in chat.events(file.load()):
                if isinstance(event, MessageCreated | MessageChanged | MessagesReloaded):
                    line = {"type": type(event).__name__, **msgspec.to_builtins(event)}
                    out.write(msgspec.json.encode(line) + b"\n")
                await file.save(chat.positions)


asyncio.run(main(*sys.argv[1:]))
