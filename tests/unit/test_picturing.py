"""Pictures that are looked at: however many come, and however busy it is, each one is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from chat4all.adapters.pictures import LimitedPictures, process
from chat4all.adapters.pictures.process import AT_ONCE
from chat4all.concurrency.retrying import Backoff
from chat4all.domain.errors import Overloaded, Unavailable, UnreadablePicture
from chat4all.domain.files import FileId, PictureFacts
from chat4all.domain.ids import Username
from chat4all.usecases import picturing as module
from chat4all.usecases.picturing import OF_USER_MAX, Picturing

pytestmark = pytest.mark.anyio

ANA, BRUNO = Username("ana"), Username("bruno")
FILE = FileId("550e8400-e29b-41d4-a716-446655440000")
SEEN = PictureFacts(3, 2, "hash")


class Looking:
    """A store and what looks at pictures in it, until `goes_on` is set."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.begun: list[str] = []
        self.errors: list[Exception] = []
        """How the next looks end."""

    async def read(self, key: str) -> AsyncIterator[bytes]:
        yield key.encode()

    async def look(self, content: AsyncIterator[bytes]) -> PictureFacts:
        self.begun.append(b"".join([piece async for piece in content]).decode())
        await self.goes_on.wait()
        if self.errors:
            raise self.errors.pop()
        return SEEN


async def test_every_picture_of_a_large_album_is_looked_at() -> None:
    """One that is given up would never have a thumbnail."""
    looking: Any = Looking()
    picturing = Picturing(looking, looking)
    album = [
        asyncio.create_task(picturing.facts(FILE, f"ana {number}", "image/png", ANA))
        for number in range(OF_USER_MAX + 8)
    ]
    other = asyncio.create_task(picturing.facts(FILE, "bruno", "image/png", BRUNO))
    async with asyncio.timeout(10):
        while len(looking.begun) < 2:
            await asyncio.sleep(0)
        assert looking.begun == ["ana 0", "bruno"]
        looking.goes_on.set()
        assert await other == SEEN
        assert await asyncio.gather(*album) == [SEEN] * len(album)


@pytest.mark.parametrize("error", [Unavailable("no process"), Overloaded("too many wait")])
async def test_a_busy_moment_does_not_make_a_picture_unreadable(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOKING", Backoff(0.0, 0.0, 3))
    looking: Any = Looking()
    looking.goes_on.set()
    looking.errors = [error] * 2
    assert await Picturing(looking, looking).facts(FILE, "a", "image/png", ANA) == SEEN
    assert looking.begun == ["a"] * 3
    # But not for ever: a file is accepted without them.
    looking.errors = [error] * 3
    assert await Picturing(looking, looking).facts(FILE, "b", "image/png", ANA) is None
    assert looking.begun[3:] == ["b"] * 3
    (line,) = caplog.records
    assert line.getMessage() == "a picture was not looked at"
    assert (line.__dict__["file_id"], line.__dict__["user"]) == (FILE, ANA)


async def test_what_was_seen_to_be_no_picture_is_not_looked_at_again() -> None:
    looking: Any = Looking()
    looking.goes_on.set()
    looking.errors = [UnreadablePicture("broken")]
    assert await Picturing(looking, looking).facts(FILE, "a", "image/png", ANA) is None
    assert looking.begun == ["a"]


async def test_thumbnails_that_wait_keep_no_picture_from_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An album that a group opens takes minutes; who uploads a picture meanwhile waits for one."""
    begun: list[str] = []
    gates: list[asyncio.Event] = []

    async def ask(_: object, arguments: tuple[str, ...]) -> bytes:
        begun.append(arguments[0])
        gates.append(asyncio.Event())
        await gates[-1].wait()
        return msgspec.json.encode(SEEN)

    async def until_begun(count: int) -> None:
        async with asyncio.timeout(10):
            while len(begun) < count:
                await asyncio.sleep(0)

    monkeypatch.setattr(process, "_ask", ask)
    pictures, content = LimitedPictures(), Looking()
    album = [asyncio.create_task(pictures.thumbnail(content.read(""), 128)) for _ in range(40)]
    await until_begun(AT_ONCE)
    look = asyncio.create_task(pictures.look(content.read("")))
    await asyncio.sleep(0)
    gates[0].set()
    await until_begun(AT_ONCE + 1)
    assert begun == ["thumbnail"] * AT_ONCE + ["look"]
    gates[-1].set()
    assert await look == SEEN
    await until_begun(AT_ONCE + 2)  # the album goes on
    assert len(begun) == AT_ONCE + 2
    for one in album:
        one.cancel()
    await asyncio.gather(*album, return_exceptions=True)
