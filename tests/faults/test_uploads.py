"""Uploads by tuspy, while the server is killed again and again."""

import hashlib
import io
import random
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader.uploader import Uploader

from tests.faults.running import Running, call

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


def uploader(gateway: str, token: str, file: BinaryIO, chunk: int, *, sums: bool) -> Uploader:
    client = TusClient(f"{gateway}/v1/files", {"Authorization": f"Bearer {token}"})
    return client.uploader(
        file_stream=file,
        chunk_size=chunk,
        metadata={"filename": "film.bin"},
        upload_checksum=sums,
    )


def downloaded(url: str, token: str) -> str:
    """Return the SHA-256 of a file as it is downloaded."""
    digest = hashlib.sha256()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        while data := answer.read(MIB):
            digest.update(data)
    return digest.hexdigest()


def acknowledged_is_kept(running: Running, upload: Uploader, seconds: float) -> None:
    """Send a chunk, and kill the server meanwhile.

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


@pytest.mark.parametrize(
    ("chunk", "sums"),
    [
        pytest.param(3 * MIB + 1, True, id="in small bodies with checksums"),
        pytest.param(100 * MIB, False, id="in one body", marks=pytest.mark.endurance),
    ],
)
def test_nothing_that_was_acknowledged_is_sent_again(
    running: Running, token: str, chunk: int, sums: bool
) -> None:
    content = random.Random(1).randbytes(100 * MIB + 12_345)
    size, wanted = len(content), hashlib.sha256(content).hexdigest()
    upload = uploader(running.gateway, token, io.BytesIO(content), chunk, sums=sums)
    url: str = upload.create_url()
    upload.set_url(url)
    upload.stop_at = size
    chance = random.Random(chunk)
    kills = 0
    while kills < 6 and upload.offset < size:
        acknowledged_is_kept(running, upload, chance.uniform(0.01, 0.2))
        kills += 1
    if upload.offset < size:
        upload.upload()
    assert kills >= 1  # on a quick machine it is soon whole
    assert downloaded(url, token) == wanted
    # It was hashed as it came, or read again.
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    request.method = "HEAD"
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["ETag"].strip('"') == wanted
