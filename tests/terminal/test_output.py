"""Lines of users' commands: their reader is waited for outside of nothing else, and may go."""

import asyncio
import json
import os
import select
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chat4all.terminal import output
from chat4all.terminal.output import Output
from tests.terminal.made import message

pytestmark = pytest.mark.anyio


class Descriptor:
    """Standard output that is a descriptor."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)


class Pipe:
    """A pipe in the place of standard output."""

    def __init__(self) -> None:
        self.reader, self.end = os.pipe()

    def read(self) -> bytes:
        return os.read(self.reader, 1 << 20)

    def leave(self) -> None:
        """Read no more."""
        os.close(self.reader)
        self.reader = -1


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    found = Pipe()
    monkeypatch.setattr(output, "sys", SimpleNamespace(stdout=Descriptor(found.end)))
    yield found
    for descriptor in (found.reader, found.end):
        if descriptor >= 0:
            os.close(descriptor)


async def test_a_value_is_one_line(pipe: Pipe) -> None:
    assert not Output().is_text
    await Output().put_json(message(1, "one\ntwo 🎉"))
    (line,) = pipe.read().splitlines()
    found: dict[str, Any] = json.loads(line)
    assert found["content"] == "one\ntwo 🎉"
    assert found["seq"] == 1


async def test_text_and_json_can_be_asked_for(pipe: Pipe) -> None:
    assert Output(as_json=False).is_text
    assert not Output(as_json=True).is_text


async def test_a_reader_that_waits_holds_up_nothing_else(pipe: Pipe) -> None:
    text = "x" * 300_000
    putting = asyncio.create_task(Output().put(text))
    read = b""
    while len(read) < len(text):
        await asyncio.sleep(0)  # which a write that blocks would never come back to
        read += os.read(pipe.reader, 4096)
    await putting
    assert read.decode() == text


async def test_a_write_that_waits_can_be_cancelled(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "SETTLE_SECONDS", 0.01)
    putting = asyncio.create_task(Output().put("x" * 300_000))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await Output().put("")


async def test_a_line_is_written_to_its_end_though_its_writer_is_cancelled(pipe: Pipe) -> None:
    """A part of a line would be followed by all of it in the next run."""
    text = "x" * 300_000
    has_put = False

    async def put() -> None:
        nonlocal has_put
        async with asyncio.timeout(None) as scope:
            scope.reschedule(asyncio.get_running_loop().time())
            await Output().put(text)
            has_put = True
            await asyncio.sleep(0)

    putting = asyncio.create_task(put())
    read = b""
    while len(read) < len(text):
        await asyncio.sleep(0)
        if select.select([pipe.reader], [], [], 0)[0]:
            read += os.read(pipe.reader, 4096)
    with pytest.raises(TimeoutError):
        await putting
    assert has_put, "what it did counts as done"
    assert read.decode() == text


async def test_a_reader_that_has_gone_is_an_error(pipe: Pipe) -> None:
    pipe.leave()
    with pytest.raises(BrokenPipeError):
        await Output().put("x")


async def test_a_reader_that_goes_ends_what_is_under_way(pipe: Pipe) -> None:
    async def wait() -> None:
        async with asyncio.timeout(30), Output().while_read():
            pipe.leave()
            await asyncio.Event().wait()

    with pytest.raises(BrokenPipeError):
        await wait()


async def test_errors_of_what_is_under_way_stay_as_they_are(pipe: Pipe) -> None:
    with pytest.raises(TimeoutError):
        async with Output().while_read():
            raise TimeoutError
    async with Output().while_read():
        await Output().put("x")
    assert pipe.read() == b"x"


async def test_a_file_is_never_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryFile() as file:
        monkeypatch.setattr(output, "sys", SimpleNamespace(stdout=Descriptor(file.fileno())))
        async with Output().while_read():
            await Output().put("x" * 300_000)
        assert file.seek(0, os.SEEK_END) == 300_000
