"""Files that have filled the disk: messages go on, and uploads go on once there is room."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from chat4all.adapters.embedded.blobs import RESERVED_BYTES
from chat4all.client import Client, UploadsFile
from chat4all.client.uploading import LocalFile
from tests.faults import launch, troubles
from tests.faults.clients import acknowledged, refused, talking
from tests.faults.running import CHAT, Running, call, until
from tests.faults.test_uploads import downloaded
from tests.faults.tus import MIB, TusUpload, random_file, sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

DISK = launch.LITTLE_ROOM
ROOM = DISK - RESERVED_BYTES
"""Bytes of it that files may have."""

FIRST = 96 * MIB
"""Bytes that are on the disk before the upload."""

FILM = 128 * MIB
"""Bytes of the upload, for which there is room only without the first ones."""

BODY = 5 * MIB
"""Of one PATCH: neither a part nor several, so that there is a tail when the disk is full."""

SLACK = 64 * MIB
"""Bytes of the disk that messages may take meanwhile, or that are free for less than a part."""

SECONDS = 60.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with troubles.small_disk(tmp_path / "data", DISK // MIB) as disk:
        command = launch.command("little_room" if disk is None else "quick_collector")
        found = Running(tmp_path, command=command).start()
        try:
            yield found
        finally:
            found.kill()


def until_full(running: Running, upload: TusUpload, body: int = BODY) -> None:
    """Send bodies until one is refused, and check what is said."""
    while (status := upload.patch(running.gateway, upload.acknowledged, body)) == 204:
        assert upload.acknowledged < FILM
    assert status == 507
    problem = json.loads(upload.said)
    assert problem["type"].endswith("out-of-space")
    assert "go on later, or delete files that you do not need" in problem["detail"]


def is_hidden(running: Running, upload: TusUpload, token: str) -> None:
    """Nothing of an upload that is not whole can be read, and no message can name it."""
    file = running.gateway + upload.path
    for path in (file, f"{file}/thumbnail"):
        assert call("GET", path, token=token)[0] == 404
    body = {
        "chat_id": CHAT,
        "kind": "file",
        "payload": {"file_id": upload.path.rpartition("/")[2]},
    }
    assert call("POST", f"{running.gateway}/v1/messages", body, token)[0] == 422


def refusals(running: Running) -> int:
    """Return how many requests were answered that the disk is full."""
    return running.log().count('"status": 507')


async def gone_on(running: Running, upload: TusUpload, folder: Path) -> str:
    """Have the client go on with an upload to its end, by itself; return the file's id."""
    uploads = UploadsFile(folder / "uploads")
    await uploads.keep(LocalFile.at(upload.file).key_at(running.gateway), upload.path)
    async with Client(running.gateway, "bruno", "test", timeout=SECONDS) as chat:
        chat._pace.factor = 0.1
        return await chat.upload(upload.file, uploads=uploads)


@contextmanager
def ballast(running: Running) -> Iterator[None]:
    """Put something on the disk that is no file of a user, as an operator may."""
    path = running.folder / "data" / "ballast"
    path.write_bytes(bytes(FIRST))
    yield
    path.unlink()


@contextmanager
def another_file(running: Running) -> Iterator[None]:
    """Upload a file, which its owner deletes at the end."""
    upload = TusUpload(random_file(running.folder, FIRST, 1), running.token("bruno"))
    assert upload.begin(running.gateway).patch(running.gateway, 0) == 204
    yield
    upload.end(running.gateway)


@pytest.mark.parametrize("what", [another_file, pytest.param(ballast, marks=pytest.mark.endurance)])
def test_an_upload_goes_on_once_there_is_room(
    running: Running, tmp_path: Path, what: Callable[[Running], AbstractContextManager[None]]
) -> None:
    """Fails without the reserve, and when what was acknowledged is lost or cannot go on."""
    with ThreadPoolExecutor(1) as threads, talking(running) as clients:
        token = running.token("bruno")
        upload = TusUpload(random_file(tmp_path, FILM, 2), token)
        with what(running):
            upload.begin(running.gateway)
            until_full(running, upload)
            offset = upload.head(running.gateway)
            assert offset >= ROOM - FIRST - SLACK
            # A part was refused; a longer tail is as well, and the one that is there stays.
            until_full(running, upload, 1)
            assert upload.head(running.gateway) == offset
            is_hidden(running, upload, token)
            before = acknowledged(clients)
            until(lambda: acknowledged(clients) >= before + 100)
            known = refusals(running)
            uploaded = threads.submit(asyncio.run, gone_on(running, upload, tmp_path))
            until(lambda: refusals(running) > known)
        assert f"/v1/files/{uploaded.result(SECONDS)}" == upload.path
        assert downloaded(running.gateway + upload.path, token) == sha256(upload.file)
        assert refused(clients) == 0
