"""Uploads and downloads on a real server: clients that break off, are slow, or stop."""

import asyncio
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from chat4all.concurrency import room
from chat4all.domain.files import PART_BYTES
from chat4all.gateway.files import downloads
from chat4all.gateway.files import tus as tus_routes
from chat4all.http.route_limits import RouteLimits
from chat4all.http.server import protocol
from chat4all.usecases.writing_parts import PartWriter
from tests.api.conftest import Api, running
from tests.api.test_file_metrics import counted
from tests.api.test_http import check_problem
from tests.api.tus import Tus
from tests.input.servers import Running, serving

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
DEADLINE = 30


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path / "data") as found:
        yield found


@pytest.fixture
async def served(api: Api) -> AsyncIterator[Running]:
    async with serving(api.parts.gateway, ending=api.parts.end) as found:
        yield found


@pytest.fixture
async def bruno(api: Api) -> Tus:
    return Tus(api, await api.sign_in("bruno"))


class Connection:
    """A connection that sends and reads what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def begin(self, method: str, path: str, **headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: x"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    def begin_post(self, who: Tus, size: int) -> None:
        self.begin(
            "POST",
            "/v1/files",
            Tus_Resumable="1.0.0",
            Content_Type="application/offset+octet-stream",
            Upload_Length=str(size),
            Content_Length=str(size),
            **who.who,
        )

    def begin_patch(self, who: Tus, path: str, offset: int, length: int) -> None:
        self.begin(
            "PATCH",
            path,
            Tus_Resumable="1.0.0",
            Content_Type="application/offset+octet-stream",
            Upload_Offset=str(offset),
            Content_Length=str(length),
            **who.who,
        )

    async def head(self) -> str:
        async with asyncio.timeout(DEADLINE):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def at_end(self) -> bytes:
        """Return what comes until the server closes."""
        async with asyncio.timeout(DEADLINE):
            return await self.reader.read()


@asynccontextmanager
async def connected(port: int, receive_buffer: int | None = None) -> AsyncIterator[Connection]:
    raw = socket.socket()
    if receive_buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=64 * 1024)
    try:
        yield Connection(reader, writer)
    finally:
        if not writer.is_closing():
            writer.transport.abort()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.01)


class Stalling:
    """A body whose client sends 40 of 100 bytes, once they have been read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = 0
        add = PartWriter.add

        async def counted(writer: PartWriter, data: bytes) -> None:
            await add(writer, data)
            self.read += len(data)

        monkeypatch.setattr(PartWriter, "add", counted)

    async def begin(self, client: Connection, who: Tus) -> str:
        path = await who.begin(100)
        client.begin_patch(who, path, 0, 100)
        client.writer.write(b"x" * 40)
        await until(lambda: self.read == 40)
        return path


@pytest.fixture
def stalling(monkeypatch: pytest.MonkeyPatch) -> Stalling:
    return Stalling(monkeypatch)


async def test_what_arrived_is_kept_when_a_client_breaks_off(served: Running, bruno: Tus) -> None:
    data = bytes(range(250)) * (PART_BYTES // 200)
    path = await bruno.begin(len(data))
    first = PART_BYTES + MIB
    async with connected(served.port) as client:
        client.begin_patch(bruno, path, 0, len(data))
        client.writer.write(data[:first])
        client.writer.close()
        await client.writer.wait_closed()
        await until(lambda: not served.server.server_state.tasks)
    kept = await bruno.offset(path)
    assert PART_BYTES < kept <= first  # the server has not asked for the last of it
    async with connected(served.port) as client:
        client.begin_patch(bruno, path, kept, len(data) - kept)
        client.writer.write(data[kept:])
        assert "204 No Content" in await client.head()
    assert (await bruno.ask("GET", path)).content == data


@pytest.mark.thorough
async def test_a_client_that_stalls_is_told_so_and_loses_nothing(
    api: Api,
    served: Running,
    bruno: Tus,
    stalling: Stalling,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tus_routes, "UPLOAD_LIMITS", RouteLimits(MIB, stall_seconds=0.5))
    async with connected(served.port) as client:
        path = await stalling.begin(client, bruno)
        assert await counted(api, "transfers", direction="upload") == 1
        assert await counted(api, "received_bytes_total") == 40
        head = await client.head()
        assert head.startswith("HTTP/1.1 503 ")  # clients of tus go on after a 5xx
        assert "\r\nretry-after: 1\r\n" in head.lower()
        assert b"nothing arrived within 0.5 s" in await client.at_end()
    assert await bruno.offset(path) == 40
    assert await counted(api, "stalls_total", direction="upload") == 1
    assert await counted(api, "stalls_total", direction="download") == 0


async def test_a_client_that_asks_gets_all_that_arrived(
    served: Running, bruno: Tus, stalling: Stalling
) -> None:
    async with connected(served.port) as client:
        path = await stalling.begin(client, bruno)
        assert await bruno.offset(path) == 40
        assert "409" in await client.head()
        await client.at_end()  # it is closed: its body is not read on


@pytest.mark.thorough
async def test_uploads_are_kept_when_the_server_ends(
    api: Api, bruno: Tus, stalling: Stalling
) -> None:
    async with (
        serving(api.parts.gateway, ending=api.parts.end) as served,
        connected(served.port) as client,
    ):
        path = await stalling.begin(client, bruno)
        ended = asyncio.create_task(served.stop())
        assert "503" in await client.head()
        await ended
    assert await bruno.offset(path) == 40


@pytest.mark.thorough
async def test_an_upload_that_has_just_begun_is_kept_when_the_server_ends(
    api: Api, bruno: Tus, stalling: Stalling
) -> None:
    """Fails when its client does not learn its address, and has to send everything again."""
    async with (
        serving(api.parts.gateway, ending=api.parts.end) as served,
        connected(served.port) as client,
    ):
        client.begin_post(bruno, 100)
        client.writer.write(b"x" * 40)
        await until(lambda: stalling.read == 40)
        ended = asyncio.create_task(served.stop())
        head = await client.head()
        await ended
    assert head.startswith("HTTP/1.1 201 ")
    lines = (line.partition(": ") for line in head.splitlines()[1:])
    headers = httpx.Headers([(name, value) for name, _, value in lines if name])
    assert headers["upload-offset"] == "40"
    assert await bruno.offset(headers["location"]) == 40


@pytest.mark.thorough
async def test_a_large_upload_takes_little_memory(served: Running, bruno: Tus) -> None:
    size, piece = 64 * MIB, bytes(MIB)
    path = await bruno.begin(size)
    tracemalloc.start()
    try:
        async with connected(served.port) as client:
            client.begin_patch(bruno, path, 0, size)
            for _ in range(size // MIB):
                client.writer.write(piece)
                await client.writer.drain()
            assert "204 No Content" in await client.head()
        # A thread may let go of a part a little later than its request.
        assert tracemalloc.get_traced_memory()[1] < 4 * PART_BYTES + 8 * MIB
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        async with connected(served.port) as client:
            client.begin("GET", path, **bruno.who)
            await client.head()
            for _ in range(size // MIB):
                await client.reader.readexactly(MIB)
        assert tracemalloc.get_traced_memory()[1] - before < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.thorough
async def test_a_slow_reader_gets_a_file_and_one_that_stops_is_cut_off(
    api: Api, served: Running, bruno: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "TAKE_SECONDS", 1.0)
    path = await bruno.upload(bytes(24 * MIB))
    async with connected(served.port, 64 * 1024) as client:
        client.begin("GET", path, **bruno.who)
        await client.head()
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            await client.reader.read(64 * 1024)
            await asyncio.sleep(0.02)
        assert not client.reader.at_eof()
        assert served.server.connections() == 1
        assert await counted(api, "stalls_total", direction="download") == 0
        await until(lambda: not served.server.connections())  # now it reads nothing more
    assert await counted(api, "stalls_total", direction="download") == 1


async def test_a_slow_reader_is_cut_off_when_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when readers that trickle keep downloads from all others."""
    monkeypatch.setattr(downloads, "AT_ONCE_MAX", 1)
    monkeypatch.setattr(room, "OWNERS_MIN", 1)
    monkeypatch.setattr(room, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(room, "LOOK_EVERY_SECONDS", 0.01)
    async with running(tmp_path / "data") as api, serving(api.parts.gateway) as served:
        bruno, ana = Tus(api, await api.sign_in("bruno")), Tus(api, await api.sign_in("ana"))
        path, other = await bruno.upload(bytes(24 * MIB)), await ana.upload(bytes(10))
        async with connected(served.port, 64 * 1024) as slow, connected(served.port) as waiting:
            slow.begin("GET", path, **bruno.who)
            await slow.head()
            await asyncio.sleep(0.3)  # nobody waits: it may take its time
            await slow.reader.readexactly(MIB)
            waiting.begin("GET", other, **ana.who)
            assert "200 OK" in await waiting.head()
            assert await waiting.reader.readexactly(10) == bytes(10)
            assert len(await slow.at_end()) < 22 * MIB


async def test_a_download_waits_for_its_turn_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "AT_ONCE_MAX", 1)
    monkeypatch.setattr(room, "OWNERS_MIN", 1)
    monkeypatch.setattr(room, "WAIT_SECONDS", 0.01)
    async with running(tmp_path / "data") as api, serving(api.parts.gateway) as served:
        bruno = Tus(api, await api.sign_in("bruno"))
        path = await bruno.upload(bytes(24 * MIB))
        async with connected(served.port, 64 * 1024) as slow:
            slow.begin("GET", path, **bruno.who)
            await slow.head()
            refused = await bruno.ask("GET", path)
            problem = check_problem(refused, 503)
            assert problem["detail"] == "too many files are being downloaded"
            assert int(refused.headers["retry-after"]) >= 1
            assert (await bruno.ask("HEAD", path)).status_code == 200
            unchanged = {"If-None-Match": "*"}
            assert (await bruno.ask("GET", path, **unchanged)).status_code == 304
        await until(lambda: not served.server.server_state.tasks)
        assert len((await bruno.ask("GET", path)).content) == 24 * MIB


async def test_nothing_is_read_for_a_client_that_has_gone(served: Running, bruno: Tus) -> None:
    path = await bruno.upload(bytes(24 * MIB))
    async with connected(served.port, 64 * 1024) as client:
        client.begin("GET", path, **bruno.who)
        await client.head()
    await until(lambda: not served.server.server_state.tasks)
