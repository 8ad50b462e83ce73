"""Uploads by tus-js-client, which is killed and whose server is killed meanwhile."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.running import Running
from tests.faults.test_uploads import downloaded
from tests.faults.tus import MIB, random_file, sha256
from tests.javascript.node import NODE, installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SIZE = 30 * MIB + 12_345
PROGRAM = Path(__file__).parent / "tus" / "upload.mjs"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    try:
        yield found
    finally:
        found.kill()


class Uploader:
    """The client as a process. `accepted` is the last offset that the server has answered."""

    def __init__(self, *arguments: str) -> None:
        command = [NODE, str(PROGRAM), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = ""
        self.accepted: list[int] = []

    def __enter__(self) -> "Uploader":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def until_accepted(self, offset: int) -> None:
        while not self.accepted or self.accepted[-1] < offset:
            self._next()

    def until_done(self) -> None:
        while "done" not in self._next():
            pass

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "it has ended"
        said: dict[str, Any] = json.loads(line)
        assert "error" not in said, said
        self.url = said.get("url", self.url)
        if "accepted" in said:
            self.accepted.append(said["accepted"])
        return said


def test_it_goes_on_over_kills_of_both(running: Running, tmp_path: Path) -> None:
    file, token = random_file(tmp_path, SIZE), running.token("bruno")
    endpoint, kept = f"{running.gateway}/v1/files", str(tmp_path / "kept.json")
    arguments = (str(installed("tus")), endpoint, token, str(file), kept)
    with Uploader(*arguments) as first:
        for point in (SIZE // 5, SIZE // 2):
            first.until_accepted(point)
            running.kill()
            running.start()
        first.until_accepted(SIZE * 2 // 3)
    with Uploader(*arguments) as second:
        second.until_done()
    assert second.url == first.url
    for accepted in (first.accepted, second.accepted):
        assert accepted == sorted(accepted)
    # What the first one was told is not sent again: the next one's first chunk is beyond it.
    assert second.accepted[0] > first.accepted[-1]
    assert downloaded(second.url, token) == sha256(file)
