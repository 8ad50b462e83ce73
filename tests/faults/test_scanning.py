"""A process is killed while a file waits for its scan."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.domain.scanning import SCAN_LEASE_SECONDS
from tests.clamd import FakeClamd, fake_clamd
from tests.faults.running import Running, call, until
from tests.faults.tus import TusUpload, random_file

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
async def clamd(tmp_path: Path) -> AsyncIterator[FakeClamd]:
    async with fake_clamd(tmp_path) as found:
        yield found


def age(folder: Path) -> None:
    """Let the minute pass for which the killed process has its files to itself."""
    with closing(sqlite3.connect(folder / "data" / "metadata.db")) as database, database:
        changed = database.execute(
            "UPDATE files SET scan_at = scan_at - ?", (SCAN_LEASE_SECONDS * 1_000,)
        )
        assert changed.rowcount == 1


async def test_it_is_scanned_after_the_restart(tmp_path: Path, clamd: FakeClamd) -> None:
    clamd.released.clear()
    running = Running(tmp_path, settings={"CHAT4ALL_CLAMD_ADDRESS": clamd.address})
    await asyncio.to_thread(running.start)
    try:
        token = await asyncio.to_thread(running.token, "bruno")
        upload = TusUpload(random_file(tmp_path, 100_000), token).begin(running.gateway)
        sending = asyncio.create_task(asyncio.to_thread(upload.patch, running.gateway, 0))
        async with asyncio.timeout(30):
            while not clamd.scanned:
                await asyncio.sleep(0.01)
        await asyncio.to_thread(running.kill)
        assert await sending == 0  # it was not answered, and may be whole nevertheless
        age(tmp_path)
        clamd.released.set()
        await asyncio.to_thread(running.start)
        url = running.gateway + upload.path + "/link"

        def is_ready() -> bool:
            return call("POST", url, token=token)[0] == 200

        await asyncio.to_thread(until, is_ready)
        assert await asyncio.to_thread(upload.head, running.gateway) == upload.size
        assert clamd.scanned == [upload.file.read_bytes()] * 2
    finally:
        await asyncio.to_thread(running.kill)
