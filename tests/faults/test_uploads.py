"""Uploads by a tus client that nobody here wrote, while the server is killed again and again."""

import hashlib
import random
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader.uploader import Uploader

from tests.faults.running import Running, call
from tests.faults.tus import downloaded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1024 * 1024
FORM = {"username": "bruno", "password": "test"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    try:
        yield found
    finally:
        found.kill()


@pytest.fixture
def token(running: Running) -> str:
    status, answer = call("POST", f"{running.gateway}/token", form=FORM)
    assert status == 200, answer
    return str(answer["access_token"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(random.Random(1).randbytes(40 * MIB + 12_345))
    return path


def uploader(
    running: Running, token: str, stream: IO[bytes], chunk: int, *, sums: bool
) -> Uploader:
    client = TusClient(f"{running.gateway}/v1/files", {"Authorization": f"Bearer {token}"})
    return client.uploader(
        file_stream=stream,
        chunk_size=chunk,
        metadata={"filename": "film.bin"},
        upload_checksum=sums,
    )


def acknowledged_is_kept(running: Running, upload: Uploader, seconds: float) -> bool:
    """Send a chunk, and kill the server meanwhile; say whether the chunk was acknowledged.

    The client goes on where the server says, which is never before what it has acknowledged.
    """
    before = upload.offset
    killing = threading.Timer(seconds, running.kill)
    killing.start()
    try:
        upload.upload_chunk()  # type: ignore[no-untyped-call]
        was_sent = True
    except TusCommunicationError:
        was_sent = False
    killing.join()
    running.start()
    acknowledged = upload.offset if was_sent else before
    upload.offset = upload.get_offset()
    assert upload.offset >= acknowledged
    return was_sent


@pytest.mark.parametrize(
    ("chunk", "sums"),
    [(3 * MIB + 1, True), (100 * MIB, False)],
    ids=["in small bodies with checksums", "in one body"],
)
def test_nothing_that_was_acknowledged_is_sent_again(
    running: Running, token: str, file: Path, chunk: int, sums: bool
) -> None:
    size, chance = file.stat().st_size, random.Random(chunk)
    with file.open("rb") as stream:  # it does not close what it opens itself
        upload = uploader(running, token, stream, chunk, sums=sums)
        url = upload.create_url()
        upload.set_url(url)
        for _ in range(6):
            if upload.offset < size:
                upload.stop_at = size
                acknowledged_is_kept(running, upload, chance.uniform(0.01, 0.2))
        if upload.offset < size:
            upload.upload()
    assert downloaded(url, token) == hashlib.sha256(file.read_bytes()).hexdigest()
    # What the client has is known to the server too: it was hashed as it came, or again.
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    request.method = "HEAD"
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["ETag"].strip('"') == hashlib.sha256(file.read_bytes()).hexdigest()
