"""Who is given a file and a link to it, and how its bytes are read while its object changes."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from chat4all.domain.errors import BeingChecked, Conflict, NotFound, Unavailable
from chat4all.domain.files import FileId, FileState
from chat4all.domain.ids import Username
from chat4all.usecases.downloading import LINK_SECONDS, Downloading, FileLink
from tests.attached import PICTURE, KeptFiles, picture

pytestmark = pytest.mark.anyio

BRUNO, ANA = Username("bruno"), Username("ana")
DATA = b"0123456789"


class Objects:
    """Objects by key, in pieces of two bytes. One of `breaking` is deleted after so many bytes."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects
        self.breaking: dict[str, int] = {}
        self.open: list[str] = []
        self.was_read: list[tuple[str, int, int]] = []

    async def read(self, key: str, start: int, length: int) -> AsyncGenerator[bytes, None]:
        self.was_read.append((key, start, length))
        self.open.append(key)
        try:
            if key not in self.objects:
                raise NotFound("no such object")
            data = self.objects[key][start : start + length]
            for first in range(0, len(data), 2):
                if first >= self.breaking.get(key, len(data)):
                    raise NotFound("deleted")
                yield data[first : first + 2]
        finally:
            self.open.remove(key)


class Links:
    """Signs nothing: a link says what it is for."""

    def issue_link(self, file_id: FileId, viewer: Username, until: int) -> str:
        return f"{file_id} {viewer} {until}"

    def read_link(self, link: str, file_id: FileId, now: int) -> Username:
        of, viewer, until = link.split()
        assert of == file_id
        assert isinstance(now, int)
        assert 0 <= int(until) - now <= LINK_SECONDS
        return Username(viewer)


FILE = replace(picture(), key="old", size=len(DATA))


class Place:
    """A file whose object is `old`, or by now another one."""

    def __init__(self, objects: Objects, *, now: str = "old", readers: Sequence[Username] = ()):
        self.files = KeptFiles(replace(FILE, key=now), readers=readers)
        self.objects = objects
        of: Any = objects
        self.downloading = Downloading(self.files, of, Links())

    async def read(self, viewer: Username, start: int = 0, length: int = len(DATA)) -> bytes:
        self.got: list[bytes] = []
        async with aclosing(self.downloading.read(FILE, viewer, start, length)) as pieces:
            async for piece in pieces:
                self.got.append(piece)
        return b"".join(self.got)


async def test_a_part_of_a_file_is_read() -> None:
    place = Place(Objects(old=DATA))
    assert await place.read(BRUNO, 3, 5) == b"34567"
    assert place.objects.was_read == [("old", 3, 5)]


async def test_a_download_goes_on_in_the_object_that_the_file_has_now() -> None:
    objects = Objects(old=DATA, new=DATA)
    objects.breaking["old"] = 4
    assert await Place(objects, now="new").read(BRUNO, 1, 8) == b"12345678"
    assert objects.was_read == [("old", 1, 8), ("new", 5, 4)]
    begun = Objects(new=DATA)  # deleted before its first byte
    assert await Place(begun, now="new").read(BRUNO) == DATA


async def test_it_goes_on_for_who_may_have_the_file_only() -> None:
    objects = Objects(old=DATA, new=DATA)
    objects.breaking["old"] = 4
    place = Place(objects, now="new")
    with pytest.raises(NotFound, match="no such file"):
        await place.read(ANA)
    assert place.got == [b"01", b"23"]
    assert await Place(objects, now="new", readers=[ANA]).read(ANA) == DATA


@pytest.mark.parametrize("now", ["old", "new"])
async def test_an_object_that_is_gone_is_no_file_that_never_was(
    now: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails with the store's own answer: it says that somebody has deleted the file."""
    objects = Objects(old=DATA)
    objects.breaking["old"] = 4
    with pytest.raises(Unavailable) as told:
        await Place(objects, now=now).read(BRUNO)
    assert told.value.public == "this file was damaged in the store of files"
    (line,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert line.__dict__["file_id"] == PICTURE
    assert FILE.name not in line.getMessage()
    assert [key for key, *_ in objects.was_read] == (["old"] if now == "old" else ["old", "new"])


async def test_a_file_that_is_deleted_while_it_is_read_is_not_found(
    caplog: pytest.LogCaptureFixture,
) -> None:
    objects = Objects(old=DATA)
    objects.breaking["old"] = 4
    place = Place(objects)
    del place.files.files[PICTURE]
    with pytest.raises(NotFound, match="no such file"):
        await place.read(BRUNO)
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_an_object_that_was_cut_short_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    """Else a client would take what it got for the whole file."""
    with pytest.raises(Unavailable) as told:
        await Place(Objects(old=DATA[:-1])).read(BRUNO)
    assert told.value.public == "this file was damaged in the store of files"
    objects = Objects(old=DATA, new=DATA[:-1])
    objects.breaking["old"] = 4
    with pytest.raises(Unavailable, match="an object has fewer bytes than it had"):
        await Place(objects, now="new").read(BRUNO)
    for line in caplog.records:
        assert (line.levelname, line.__dict__["file_id"]) == ("ERROR", PICTURE)
        assert line.__dict__["cause"] == "an object has fewer bytes than it had"
    assert len(caplog.records) == 2


@pytest.mark.parametrize("now", ["old", "new"])
async def test_what_a_client_leaves_unread_is_closed(now: str) -> None:
    objects = Objects(old=DATA, new=DATA)
    if now == "new":
        objects.breaking["old"] = 2
    pieces = Place(objects, now=now).downloading.read(FILE, BRUNO, 0, len(DATA))
    for _ in range(2):
        await anext(pieces)
    assert objects.open == [now]
    await pieces.aclose()
    assert objects.open == []


@pytest.mark.parametrize(
    ("state", "error"), [(FileState.CHECKING, BeingChecked), (FileState.REFUSED, Conflict)]
)
async def test_what_is_not_ready_is_for_nobody(state: FileState, error: type[Exception]) -> None:
    place = Place(Objects(old=DATA))
    place.files.files[PICTURE] = replace(FILE, state=state)
    with pytest.raises(error):
        await place.downloading.find(PICTURE, BRUNO)
    with pytest.raises(error):
        await place.downloading.link(PICTURE, BRUNO)


async def test_a_link_is_made_for_who_may_have_the_file_only() -> None:
    place = Place(Objects(old=DATA))
    assert (await place.downloading.find(PICTURE, BRUNO)).key == "old"
    before = int(time.time())
    link = await place.downloading.link(PICTURE, BRUNO)
    assert before + LINK_SECONDS <= link.expires_at <= int(time.time()) + LINK_SECONDS
    assert link == FileLink(f"{PICTURE} bruno {link.expires_at}", link.expires_at)
    assert place.downloading.viewer_of(link.token, PICTURE) == BRUNO
    for ask in (place.downloading.find, place.downloading.link):
        with pytest.raises(NotFound):
            await ask(PICTURE, ANA)
