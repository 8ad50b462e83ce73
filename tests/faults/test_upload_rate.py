"""How fast one machine takes a large file, beside a copy of the same bytes to the same disk."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.running import Running
from tests.faults.test_uploads import downloaded
from tests.faults.tus import MIB, Memory, TusUpload, random_file, sha256

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.endurance,
    pytest.mark.timeout(1_200),
]

SIZE = int(os.environ.get("UPLOAD_MIB", "1717")) * MIB + 12_345
"""1.8 GB, unless it is set."""

PART = 8 * MIB


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    try:
        yield found
    finally:
        found.kill()


def copied(file: Path) -> float:
    """Copy a file in parts that are each synced, as the server does; return the seconds."""
    target = file.with_suffix(".copy")
    began = time.perf_counter()
    with file.open("rb") as read, target.open("wb") as written:
        while data := read.read(PART):
            written.write(data)
            written.flush()
            os.fdatasync(written.fileno())
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def test_the_rate_beside_a_copy(running: Running, tmp_path: Path) -> None:
    file = random_file(tmp_path, SIZE)
    theirs = copied(file)
    token = running.token("bruno")
    upload = TusUpload(file, token).begin(running.gateway)
    assert running.process is not None
    memory, asked = Memory(running.process.pid), 0.0

    def sample(sent: int) -> None:
        nonlocal asked
        if sent > 6 * PART and sent // MIB % (SIZE // MIB // 64) == 0:
            before = time.perf_counter()
            memory.sample()
            asked += time.perf_counter() - before

    began = time.perf_counter()
    assert upload.patch(running.gateway, 0, on_sent=sample) == 204
    ours = time.perf_counter() - began - asked
    print(f"{SIZE / ours / MIB:.0f} MiB/s, {theirs / ours:.2f} of a copy with fdatasync")
    memory.is_flat()
    assert downloaded(running.gateway + upload.path, token) == sha256(file)
