"""Pictures that several people want looked at at once: nobody waits behind all those of one."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.pictures.process import AT_ONCE
from chat4all.domain.files import PictureFacts
from chat4all.usecases import picturing, scanning
from tests.api import conftest
from tests.api.conftest import Api, running
from tests.api.test_attached import send, status, upload
from tests.api.test_http import check_problem
from tests.api.tus import PNG
from tests.attached import FakePictures
from tests.clamd import fake_clamd

pytestmark = pytest.mark.anyio

COUNT = 6
"""Pictures of one who has many: more than are looked at at once."""


class SlowPictures(FakePictures):
    """As many at once as in the product, in the order in which they come.

    Those whose last bytes are in `held` take until they are let go.
    """

    held: dict[bytes, asyncio.Event]
    begun: list[bytes]

    def __init__(self) -> None:
        super().__init__()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def look(self, content: AsyncIterator[bytes]) -> PictureFacts:
        async with self._seen(content) as raw:
            return await super().look(_again(raw))

    async def thumbnail(self, content: AsyncIterator[bytes], size: int) -> bytes:
        async with self._seen(content) as raw:
            return await super().thumbnail(_again(raw), size)

    @asynccontextmanager
    async def _seen(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async with self._slots:
            raw = b"".join([piece async for piece in content])
            self.begun.append(raw[-2:])
            if (gate := self.held.get(raw[-2:])) is not None:
                await gate.wait()
            yield raw


async def _again(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SlowPictures]]:
    monkeypatch.setattr(conftest, "FakePictures", SlowPictures)
    SlowPictures.held, SlowPictures.begun = defaultdict(asyncio.Event), []
    yield SlowPictures
    del SlowPictures.held, SlowPictures.begun


@pytest.fixture
async def api(slow: type[SlowPictures], tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path / "data", rate_limits="off") as found:
        yield found


def named(number: int) -> bytes:
    return b"b%d" % number


async def soon(coming: Awaitable[Any]) -> Any:
    async with asyncio.timeout(10):
        return await coming


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


async def until_begun(slow: type[SlowPictures], name: bytes) -> None:
    await until(lambda: name in slow.begun)


async def pictures_of(api: Api, who: dict[str, str]) -> list[str]:
    return [await upload(api, who, PNG + named(number)) for number in range(COUNT)]


def asked(api: Api, who: dict[str, str], files: list[str]) -> list["asyncio.Task[int]"]:
    """Ask for the thumbnails of all files at once."""
    return [asyncio.create_task(status(api, who, file_id, "/thumbnail")) for file_id in files]


async def asked_in_vain(
    api: Api, who: dict[str, str], files: list[str], slow: type[SlowPictures]
) -> list["asyncio.Task[int]"]:
    """Ask for all thumbnails; the first one takes until it is let go."""
    slow.begun.clear()
    slow.held[named(0)].clear()
    first = asked(api, who, files[:1])
    await until_begun(slow, named(0))
    return [*first, *asked(api, who, files[1:])]


async def test_a_thumbnail_does_not_wait_for_all_those_of_somebody_else(
    api: Api, slow: type[SlowPictures]
) -> None:
    """Fails when one user can take all places."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    files, other = await pictures_of(api, bruno), await upload(api, ana, PNG + b"a0")
    slow.held[named(1)].clear()
    all_of_bruno = await asked_in_vain(api, bruno, files, slow)
    assert await soon(status(api, ana, other, "/thumbnail")) == 200
    assert slow.begun == [named(0), b"a0"]
    for gate in slow.held.values():
        gate.set()
    assert await soon(asyncio.gather(*all_of_bruno)) == [200] * COUNT


async def test_what_is_made_already_is_not_waited_for(api: Api, slow: type[SlowPictures]) -> None:
    bruno = await api.sign_in("bruno")
    files = await pictures_of(api, bruno)
    assert await soon(asyncio.gather(*asked(api, bruno, files[1:]))) == [200] * (COUNT - 1)
    (first,) = await asked_in_vain(api, bruno, files[:1], slow)
    assert await soon(asyncio.gather(*asked(api, bruno, files[1:]))) == [200] * (COUNT - 1)
    assert not first.done()
    slow.held[named(0)].set()
    assert await soon(first) == 200


async def test_a_picture_that_one_waits_for_is_made_for_another(
    api: Api, slow: type[SlowPictures]
) -> None:
    """Fails when it is kept for the first one who asked, whose turn is not near."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    files = await pictures_of(api, bruno)
    assert (await send(api, bruno, files[-1])).status_code == 202
    all_of_bruno = await asked_in_vain(api, bruno, files, slow)
    assert await soon(status(api, ana, files[-1], "/thumbnail")) == 200
    slow.held[named(0)].set()
    assert await soon(asyncio.gather(*all_of_bruno)) == [200] * COUNT
    assert sorted(slow.begun) == [named(number) for number in range(COUNT)]  # each once


async def test_an_upload_does_not_wait_for_all_pictures_of_somebody_else(
    api: Api, slow: type[SlowPictures]
) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    slow.held |= {named(number): asyncio.Event() for number in range(COUNT)}
    uploads = (upload(api, bruno, PNG + name) for name in slow.held)
    uploading = asyncio.gather(*uploads)
    await until(lambda: slow.begun)
    assert await soon(upload(api, ana, PNG + b"a0"))
    assert len(slow.begun) == 2
    for gate in slow.held.values():
        gate.set()
    files = await soon(uploading)
    assert await soon(asyncio.gather(*asked(api, bruno, files))) == [200] * COUNT


async def test_one_who_wants_too_many_is_told_so(
    slow: type[SlowPictures], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picturing, "OF_USER_MAX", 1)
    async with running(tmp_path / "data", rate_limits="off") as api:
        bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
        files, other = await pictures_of(api, bruno), await upload(api, ana, PNG + b"a0")
        (first,) = await asked_in_vain(api, bruno, files[:1], slow)
        path = f"/v1/files/{files[1]}/thumbnail"
        refused = await soon(api.gateway.get(path, headers=bruno))
        assert "too many thumbnails" in check_problem(refused, 503)["detail"]
        assert int(refused.headers["retry-after"]) >= 1
        assert await soon(status(api, ana, other, "/thumbnail")) == 200
        slow.held[named(0)].set()
        assert await soon(first) == 200
        assert (await soon(api.gateway.get(path, headers=bruno))).status_code == 200


@pytest.mark.thorough
async def test_a_scan_does_not_wait_for_pictures_that_wait(
    slow: type[SlowPictures], tmp_path: Path
) -> None:
    """Fails when a file that waits for its owner's turn is one of those that are being scanned."""
    async with (
        fake_clamd(tmp_path) as clamd,
        running(tmp_path / "data", rate_limits="off", clamd_address=clamd.address) as api,
    ):
        bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
        slow.held |= {named(number): asyncio.Event() for number in range(COUNT)}
        many = asyncio.gather(*(upload(api, bruno, PNG + name) for name in slow.held))
        await until(lambda: slow.begun and len(clamd.scanned) >= scanning.AT_ONCE)
        one = asyncio.create_task(upload(api, ana, b"text"))
        await until(lambda: b"text" in clamd.scanned)
        for gate in slow.held.values():
            gate.set()
        await soon(asyncio.gather(many, one))
