"""The adapter of clamd, against one that is scripted."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from chat4all.adapters import clamd as module
from chat4all.adapters.clamd import Clamd
from chat4all.domain.errors import TooLarge, Unavailable
from tests.clamd import EICAR, SIGNATURE, FakeClamd, fake_clamd

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clamd(tmp_path: Path) -> AsyncIterator[FakeClamd]:
    async with fake_clamd(tmp_path) as found:
        yield found


async def content(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("reply_in", [1, 2, 100])
async def test_a_file_is_clean_or_it_has_the_name_of_what_was_found(
    clamd: FakeClamd, reply_in: int
) -> None:
    scanner, clamd.reply_in = Clamd(clamd.address), reply_in
    await scanner.ping()
    assert await scanner.scan(content([b"all ", b"", b"is well"])) is None
    assert await scanner.scan(content([EICAR[:30], EICAR[30:]])) == SIGNATURE
    assert await scanner.scan(content([])) is None
    assert clamd.scanned == [b"all is well", EICAR, b""]


async def test_over_tcp_too(clamd: FakeClamd) -> None:
    async with await asyncio.start_server(clamd.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            assert await Clamd(f"{host}:{port}").scan(content([EICAR])) == SIGNATURE


async def test_what_is_too_large_for_it_is_not_sent_to_its_end(clamd: FakeClamd) -> None:
    clamd.most = 1_000_000
    given = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1_000):
            given += 1
            yield bytes(256 * 1024)

    with pytest.raises(TooLarge, match="StreamMaxLength"):
        await Clamd(clamd.address).scan(pieces())
    assert given < 1_000


@pytest.mark.parametrize(
    "reply", [b"", b"stream: OK", b"stream: Can't allocate memory ERROR\0", b"\0", b"x" * 10_000]
)
async def test_no_other_answer_makes_a_file_clean(clamd: FakeClamd, reply: bytes) -> None:
    clamd.reply = reply
    with pytest.raises(Unavailable, match="clamd at"):
        await Clamd(clamd.address).scan(content([b"x"]))


async def test_a_name_is_one_short_line(clamd: FakeClamd) -> None:
    clamd.reply = b"stream: a\nb" + b"c" * 500 + b" FOUND\0"
    assert await Clamd(clamd.address).scan(content([b"x"])) == "ab" + "c" * 118


async def test_nobody_waits_for_ever(clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_SECONDS", 0.05)
    clamd.released.clear()
    with pytest.raises(Unavailable, match="no answer in time"):
        await Clamd(clamd.address).scan(content([b"x"]))


async def test_a_large_file_is_waited_for_longer(
    clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SCAN_SECONDS", 0.0)
    monkeypatch.setattr(module, "SCANNED_PER_SECOND", 20)
    clamd.released.clear()
    with pytest.raises(Unavailable, match="no answer in time"):
        await Clamd(clamd.address).scan(content([b"x"]))
    large = asyncio.create_task(Clamd(clamd.address).scan(content([b"x" * 1_000])))
    async with asyncio.timeout(30):
        while len(clamd.scanned) < 2:
            await asyncio.sleep(0)
    clamd.released.set()
    assert await large is None


async def test_a_machine_that_is_gone_without_a_word_is_noticed(clamd: FakeClamd) -> None:
    """Without these a scan keeps its turn until its deadline, though clamd is back long since."""
    async with await asyncio.start_server(clamd.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Clamd(f"127.0.0.1:{port}")._connection() as connection:
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            for option, value in (
                (socket.TCP_KEEPIDLE, 10),
                (socket.TCP_KEEPINTVL, 10),
                (socket.TCP_USER_TIMEOUT, 60_000),
            ):
                assert connection.getsockopt(socket.IPPROTO_TCP, option) == value


async def test_no_more_is_waited_for_than_clamd_itself_takes() -> None:
    """Its `MaxScanTime` is two minutes: whoever waits for much longer waits for nothing."""
    assert 120 < module.SCAN_SECONDS <= 180


async def test_where_nothing_listens_it_is_unavailable(tmp_path: Path) -> None:
    for address in (str(tmp_path / "none"), "127.0.0.1:1", "no-such-host.invalid:3310"):
        scanner = Clamd(address)
        for asked in (scanner.ping(), scanner.scan(content([b"x"]))):
            with pytest.raises(Unavailable, match="does not answer"):
                await asked


async def test_an_error_of_the_content_is_passed_on(clamd: FakeClamd) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise Unavailable("the store does not answer")

    with pytest.raises(Unavailable, match="the store"):
        await Clamd(clamd.address).scan(broken())
    assert clamd.scanned == []
