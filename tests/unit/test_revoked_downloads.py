"""A download that goes on while its viewer loses the file, or while nobody can say."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message, Scope

from chat4all.concurrency.room import Share
from chat4all.domain.errors import NotFound, Unavailable
from chat4all.domain.files import FileId, StoredFile
from chat4all.domain.ids import Username
from chat4all.gateway.files import asking_again
from chat4all.gateway.files.downloads import PIECE_BYTES, Downloads
from chat4all.usecases.downloading import Downloading
from tests.attached import PICTURE, KeptFiles, picture
from tests.unit.test_downloading import Links

pytestmark = pytest.mark.anyio

ANA = Username("ana")
SIZE = 8 * PIECE_BYTES


class Objects:
    """One object, in pieces larger than those that are sent."""

    async def read(self, key: str, start: int, length: int) -> Any:
        for _ in range(2):
            yield bytes(length // 2)


class Files(KeptFiles):
    """Answers with each of `answers` in turn, then as usual."""

    def __init__(self) -> None:
        super().__init__(replace(picture(), size=SIZE), readers=[ANA])
        self.answers: list[Exception] = []
        self.asked = 0

    async def find(self, file_id: FileId, viewer: Username) -> StoredFile:
        self.asked += 1
        if self.answers:
            raise self.answers.pop(0)
        return await super().find(file_id, viewer)


class Download:
    """One GET by a member; `then` is called after its first piece."""

    def __init__(self, files: Files) -> None:
        objects: Any = Objects()
        self.files = files
        self.downloads = Downloads(Downloading(files, objects, Links()))
        self.sent: list[Message] = []
        self.is_gone = asyncio.Event()

    async def run(self, then: Callable[[], Any] = lambda: None) -> None:
        async def receive() -> Message:
            await self.is_gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)
            if len(self.sent) == 2:
                then()

        scope: Scope = {"type": "http", "headers": []}
        await self.downloads.answer(ANA, PICTURE, scope, receive, send)

    @property
    def size(self) -> int:
        return sum(len(one.get("body", b"")) for one in self.sent)

    @property
    def is_whole(self) -> bool:
        return self.size == SIZE and not self.sent[-1].get("more_body", False)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_again, "ASK_EVERY_SECONDS", 0)
    monkeypatch.setattr(asking_again, "RETRY_SECONDS", 0)


@pytest.fixture
def download() -> Download:
    return Download(Files())


async def test_a_short_download_asks_once(download: Download) -> None:
    await download.run()
    assert download.is_whole
    assert download.files.asked == 1


@pytest.mark.usefixtures("always")
async def test_who_loses_a_file_in_the_middle_gets_no_more_of_it(download: Download) -> None:
    await download.run(download.files.files.clear)
    assert download.size == PIECE_BYTES
    assert download.sent[-1]["more_body"]  # its end was not sent: the connection breaks off


@pytest.mark.usefixtures("always")
async def test_who_loses_it_while_waiting_for_a_turn_is_told(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Share.take

    async def lose(self: Any, size: int) -> None:
        await take(self, size)
        download.files.files.clear()

    monkeypatch.setattr(Share, "take", lose)
    with pytest.raises(NotFound):
        await download.run()
    assert download.sent == []


AWAY = Unavailable("the directory does not answer")


@pytest.mark.usefixtures("always")
async def test_a_moment_without_an_answer_only_holds_it_up(download: Download) -> None:
    await download.run(lambda: download.files.answers.extend([AWAY] * 3))
    assert download.is_whole
    assert download.files.answers == []


@pytest.mark.usefixtures("always")
async def test_a_download_that_waits_too_long_for_an_answer_is_broken_off(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_again, "HOLD_SECONDS", 0)
    await download.run(lambda: download.files.answers.append(AWAY))
    assert download.size == PIECE_BYTES
    assert download.sent[-1]["more_body"]


@pytest.mark.usefixtures("always")
async def test_nobody_is_asked_for_a_client_that_is_gone(download: Download) -> None:
    def leave() -> None:
        download.files.answers = [AWAY] * 1_000
        download.is_gone.set()

    async with asyncio.timeout(10):
        await download.run(leave)
    assert download.size == PIECE_BYTES
    assert download.files.asked < 20
