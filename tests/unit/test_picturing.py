"""Pictures that are looked at: however many come, each one is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat4all.domain.files import PictureFacts
from chat4all.domain.ids import Username
from chat4all.usecases.picturing import OF_USER_MAX, Picturing

pytestmark = pytest.mark.anyio

ANA, BRUNO = Username("ana"), Username("bruno")
SEEN = PictureFacts(3, 2, "hash")


class Looking:
    """A store and what looks at pictures in it, until `goes_on` is set."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.begun: list[str] = []

    async def read(self, key: str) -> AsyncIterator[bytes]:
        yield key.encode()

    async def look(self, content: AsyncIterator[bytes]) -> PictureFacts:
        self.begun.append(b"".join([piece async for piece in content]).decode())
        await self.goes_on.wait()
        return SEEN


async def test_every_picture_of_a_large_album_is_looked_at() -> None:
    """One that is given up would never have a thumbnail."""
    looking: Any = Looking()
    picturing = Picturing(looking, looking)
    album = [
        asyncio.create_task(picturing.facts(f"ana {number}", "image/png", ANA))
        for number in range(OF_USER_MAX + 8)
    ]
    other = asyncio.create_task(picturing.facts("bruno", "image/png", BRUNO))
    async with asyncio.timeout(10):
        while len(looking.begun) < 2:
            await asyncio.sleep(0)
        assert looking.begun == ["ana 0", "bruno"]
        looking.goes_on.set()
        assert await other == SEEN
        assert await asyncio.gather(*album) == [SEEN] * len(album)
