"""Downloads from an S3 store that says nothing: the wait for a turn counts (EXACTNESS 12a)."""

import asyncio
import time
from dataclasses import replace

import pytest

from chat4all.adapters.s3 import S3Blobs, blobs
from chat4all.domain.errors import Overloaded, Unavailable
from tests.unit.test_s3_failing import BUCKET

pytestmark = [pytest.mark.anyio, pytest.mark.thorough]

SECONDS = 2.0
READERS = 4


async def test_who_waited_for_a_turn_is_told_as_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a call begins its whole time after a wait: the last are told after 4 s."""
    monkeypatch.setattr(blobs, "CALL_SECONDS", SECONDS)
    monkeypatch.setattr(blobs, "READERS", READERS)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    store = S3Blobs(replace(BUCKET, endpoint=endpoint))

    async def read(number: int) -> float:
        began = time.monotonic()
        with pytest.raises((Overloaded, Unavailable)):
            async for _ in store.read(f"ab/{number}"):
                pass
        return time.monotonic() - began

    async with server:
        await store.open()
        try:
            told = await asyncio.gather(*map(read, range(2 * READERS)))
        finally:
            await store.close()
    assert max(told) < 1.5 * SECONDS
