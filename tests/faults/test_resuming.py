"""Uploads by plain requests and by the Python client, while the server is killed meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat4all.client import Client, UploadsFile
from chat4all.client import uploading as uploading_module
from tests.faults.running import Running, until
from tests.faults.test_uploads import downloaded
from tests.faults.tus import LOST_MAX, MIB, Memory, TusUpload, random_file, sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SIZE = 60 * MIB + 12_345
KILLS = (SIZE // 5, SIZE // 2, SIZE * 4 // 5)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("resuming")).start()
    try:
        yield found
    finally:
        found.kill()


@pytest.mark.parametrize("body", [3 * MIB + 1, SIZE], ids=["small bodies", "one body"])
def test_an_upload_goes_on_after_each_kill(running: Running, tmp_path: Path, body: int) -> None:
    """Fails when 204 is answered before the bytes and the progress are durable."""
    token = running.token("bruno")
    upload = TusUpload(random_file(tmp_path, SIZE), token).begin(running.gateway)
    kills, offset = [*KILLS], 0

    def kill(sent: int) -> None:
        if kills and sent > kills[0]:
            kills.pop(0)
            running.kill()

    while offset < SIZE:
        status = upload.patch(running.gateway, offset, body, kill)
        if running.process is None:
            running.start()
            offset = upload.head(running.gateway)
        else:
            assert status == 204
            offset = upload.acknowledged
    assert kills == []
    assert upload.sent <= SIZE + len(KILLS) * min(LOST_MAX, body)
    assert downloaded(running.gateway + upload.path, token) == sha256(upload.file)


def test_the_client_goes_on_over_kills_and_runs(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading_module, "REQUEST_BYTES", 12 * MIB + 1)
    file, uploads = random_file(tmp_path, SIZE), UploadsFile(tmp_path / "uploads.json")
    seen: list[int] = [0]

    def reached(point: int) -> None:
        until(lambda: seen[-1] >= point, 60)

    async def first_run() -> None:
        async with Client(running.gateway, "bruno", "test") as client:
            sending = asyncio.create_task(
                client.upload(file, uploads=uploads, on_progress=lambda done, _: seen.append(done))
            )
            for point in KILLS:
                await asyncio.to_thread(reached, point)
                await asyncio.to_thread(running.kill)
                await asyncio.to_thread(running.start)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def second_run() -> str:
        goes_on: list[int] = []
        async with Client(running.gateway, "bruno", "test") as client:
            file_id = await client.upload(
                file, uploads=uploads, on_progress=lambda done, _: goes_on.append(done)
            )
        # What was sent when it was killed last, but for what it had not written yet.
        assert goes_on[0] >= KILLS[-1] - LOST_MAX
        return file_id

    asyncio.run(first_run())
    file_id = asyncio.run(second_run())
    url = f"{running.gateway}/v1/files/{file_id}"
    assert downloaded(url, running.token("bruno")) == sha256(file)


def test_memory_does_not_grow_with_the_body(running: Running, tmp_path: Path) -> None:
    """Fails when a body, or the parts of it, are gathered in memory."""
    size = 192 * MIB
    token = running.token("bruno")
    upload = TusUpload(random_file(tmp_path, size), token).begin(running.gateway)
    assert running.process is not None
    memory = Memory(running.process.pid)

    def sample(sent: int) -> None:
        # Once its buffers are there, and while more than they hold comes.
        if sent > 48 * MIB and sent % (2 * MIB) == 0:
            memory.sample()

    assert upload.patch(running.gateway, 0, on_sent=sample) == 204
    memory.is_flat()
    assert downloaded(running.gateway + upload.path, token) == sha256(upload.file)
