"""Files that wait at the server for their turn: the Python client waits with them."""

import asyncio
import hashlib
import os
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chat4all.adapters.pictures.process import SECONDS as PICTURE_SECONDS
from chat4all.client import Client, Unavailable, timing
from chat4all.client.calling import Call, Caller
from chat4all.concurrency import room as room_module
from chat4all.concurrency.room import OWNERS_MIN, Room
from chat4all.domain.ids import Username
from chat4all.gateway.files import downloads
from chat4all.usecases import uploading
from tests.api.conftest import running
from tests.client.answering import listening
from tests.client.conftest import PACE, Served
from tests.input.servers import serving

pytestmark = pytest.mark.anyio

TRY = 1.0
"""Seconds for which the client waits for answers that are not of files, in these tests."""

BRUNO = Username("bruno")


@dataclass
class Crowded:
    """A server whose places for files can be taken by a test."""

    served: Served
    rooms: dict[object, Room[Username]]
    asked: list[str]
    """The methods of the client's requests for files."""


@pytest.fixture
async def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crowded]:
    rooms: dict[object, Room[Username]] = {}
    asked: list[str] = []
    send = Caller._send

    for module in (uploading, downloads):

        class Watched(Room[Username]):
            def __init__(
                self, most: int, waiting_max: int, what: str, module: object = module
            ) -> None:
                super().__init__(most, waiting_max, what)
                rooms[module] = self

        monkeypatch.setattr(module, "Room", {Username: Watched})

    async def noted(self: Caller, call: Call, token: str | None) -> object:
        if call.path.startswith("/v1/files"):
            asked.append(call.method)
        return await send(self, call, token)

    monkeypatch.setattr(Caller, "_send", noted)
    monkeypatch.setattr(timing, "TRY_SECONDS", TRY)
    async with (
        running(tmp_path / "data", rate_limits="off") as api,
        serving(api.parts.gateway, upgrade=api.parts.upgrade) as server,
    ):
        served = Served(api, server, f"http://127.0.0.1:{server.port}")
        yield Crowded(served, rooms, asked)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.001)


def quarter(room: Room[Username]) -> int:
    """Return how much one user may have of it."""
    return room._most // OWNERS_MIN


def file_of(folder: Path, size: int) -> Path:
    path = folder / "film.bin"
    path.write_bytes(os.urandom(size))
    return path


def test_the_client_waits_for_longer_than_a_server_keeps_it() -> None:
    """Fails when it gives up while it is in the queue: it would get behind all others."""
    timeout = timing.file_timeout()
    assert timeout.write is not None
    assert timeout.read is not None
    assert timeout.write > room_module.WAIT_SECONDS
    assert timeout.read > max(room_module.WAIT_SECONDS, PICTURE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_000, 30_000_000], ids=["all sent", "not all sent"])
async def test_an_upload_stays_in_the_queue(crowded: Crowded, tmp_path: Path, size: int) -> None:
    """Fails when the client breaks off: of a large file it cannot even send all of a body."""
    room, path = crowded.rooms[uploading], file_of(tmp_path, size)
    async with crowded.served.client("bruno") as chat:
        with room.share(BRUNO, lambda: None) as taken:
            await taken.take(quarter(room))
            sending = asyncio.create_task(chat.upload(path))
            await until(lambda: room._turns)
            await asyncio.sleep(2 * TRY)  # longer than for anything else: this is the test
            assert room._turns
        file_id = await sending
        assert crowded.asked == ["POST", "PATCH"]
        await chat.download(file_id, tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == path.read_bytes()


@pytest.mark.slow
async def test_a_download_stays_in_the_queue(crowded: Crowded, tmp_path: Path) -> None:
    room, path = crowded.rooms[downloads], file_of(tmp_path, 1_000)
    async with crowded.served.client("bruno") as chat:
        file_id = await chat.upload(path)
        crowded.asked.clear()
        with room.share(BRUNO, lambda: None) as taken:
            await taken.take(quarter(room))
            getting = asyncio.create_task(chat.download(file_id, tmp_path / "saved"))
            await until(lambda: room._turns)
            await asyncio.sleep(2 * TRY)  # as above
            assert room._turns
        await getting
        assert crowded.asked == ["GET"]
    assert (tmp_path / "saved").read_bytes() == path.read_bytes()


async def test_a_download_that_stalls_in_its_middle_is_not_in_a_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when it is waited for as long as for the first byte."""
    monkeypatch.setattr(timing, "TRY_SECONDS", 0.2)
    content, ranges = b"text", list[int]()
    tag = f'ETag: "{hashlib.sha256(content).hexdigest()}"'

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode()
        begin = int((re.findall(r"(?i)range: bytes=(\d+)-", asked) or ["0"])[0])
        ranges.append(begin)
        status = "206 Partial Content" if begin else "200 OK"
        length = f"Content-Length: {len(content) - begin}"
        writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n{tag}\r\n\r\n".encode())
        writer.write(content[begin : begin + 2])
        try:
            await reader.read()
        finally:
            writer.close()

    async with listening(handle) as url, Client(url, token="t") as chat, asyncio.timeout(20):
        chat._pace.factor = PACE
        await chat.download(str(uuid.uuid4()), tmp_path / "saved")
    assert ranges == [0, 2]
    assert (tmp_path / "saved").read_bytes() == content


@pytest.mark.slow
@pytest.mark.parametrize("way", [uploading, downloads], ids=["upload", "download"])
async def test_the_wait_in_a_queue_is_not_the_clients(
    crowded: Crowded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: object
) -> None:
    """Fails when it gives up with the first answer that too many were waiting."""
    monkeypatch.setattr(room_module, "WAIT_SECONDS", 3.0)
    room, path = crowded.rooms[way], file_of(tmp_path, 1_000)
    async with (
        crowded.served.client("bruno") as first,
        crowded.served.client("bruno", timeout=2.0) as chat,
    ):
        file_id = await first.upload(path)
        crowded.asked.clear()
        with room.share(BRUNO, lambda: None) as taken:
            await taken.take(quarter(room))
            work = chat.upload(path) if way is uploading else chat.download(file_id, path)
            going = asyncio.create_task(work)
            once = ["POST", "PATCH", "HEAD"] if way is uploading else ["GET", "GET"]
            await until(lambda: crowded.asked[: len(once)] == once)
        await going


@pytest.mark.slow
async def test_a_queue_without_end_is_given_up(
    crowded: Crowded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr("chat4all.client.timing.QUEUE_SECONDS", 1.0)
    room = crowded.rooms[uploading]
    async with crowded.served.client("bruno", timeout=2.0) as chat:
        with room.share(BRUNO, lambda: None) as taken:
            await taken.take(quarter(room))
            with pytest.raises(Unavailable, match="too many files are being uploaded"):
                await chat.upload(file_of(tmp_path, 1_000))
    # Its own 2 s, and the 1 s that it may be kept waiting: 0.5 s each time.
    assert crowded.asked.count("PATCH") <= 7
