"""Output in the background: never waited for, bounded, and what is missing is counted."""

import fcntl
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from chat4all.concurrency import output
from chat4all.concurrency.output import QUEUE_BYTES, BackgroundStream, BackgroundWriter
from chat4all.logs import configure_logging

PIPE_BYTES = 4096


class Pipe:
    """A small pipe, whose reader reads when it is told."""

    def __init__(self) -> None:
        self.reader, self.end = os.pipe()
        fcntl.fcntl(self.end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.reader, False)
        self.writer = BackgroundWriter(self.end)

    def read_until(self, text: bytes) -> bytes:
        """Read on until this was read, and return all."""
        found = b""
        deadline = time.monotonic() + 20
        while text not in found:
            assert time.monotonic() < deadline
            try:
                found += os.read(self.reader, 1 << 16)
            except BlockingIOError:
                time.sleep(0.001)
        return found


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    monkeypatch.setattr(output, "RETRY_SECONDS", 0.01)
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)  # so that a write that waits ends
    pipe.writer.close(10)
    assert not pipe.writer._thread.is_alive()  # it would write to the next test's pipe
    os.close(pipe.end)


def fill(writer: BackgroundWriter) -> int:
    """Write twice as much as may wait, without waiting; return how many lines."""
    line = b"x" * 99 + b"\n"
    count = 2 * QUEUE_BYTES // len(line)
    for _ in range(count):
        writer.write(line)
    return count


def test_what_is_read_arrives_in_order_and_whole(pipe: Pipe) -> None:
    lines = [b"%d\n" % n for n in range(5000)]
    for line in lines:
        pipe.writer.write(line)
    assert pipe.read_until(b"\n4999\n") == b"".join(lines)
    assert pipe.writer.flush()


def test_a_reader_that_stops_is_not_waited_for_and_told_what_it_missed(pipe: Pipe) -> None:
    began = time.monotonic()
    count = fill(pipe.writer)
    assert time.monotonic() - began < 5
    assert pipe.writer._waiting_bytes <= QUEUE_BYTES
    assert not pipe.writer.flush(0.01)
    read = pipe.read_until(b" lines of output were dropped")
    pipe.writer.write(b"later\n")
    read += pipe.read_until(b"later\n")
    kept = read.count(b"x" * 99 + b"\n")
    told = [line for line in read.splitlines() if b"were dropped" in line]
    assert sum(int(line.split()[1]) for line in told) == count - kept > 0


def test_the_end_of_a_process_waits_a_moment_only(pipe: Pipe) -> None:
    fill(pipe.writer)
    began = time.monotonic()
    pipe.writer.close(0.05)
    assert time.monotonic() - began < 5


def test_a_pipe_that_another_process_made_non_blocking(pipe: Pipe) -> None:
    os.set_blocking(pipe.end, False)
    lines = b"".join(b"%d\n" % n for n in range(5000))
    pipe.writer.write(lines)
    assert pipe.read_until(b"\n4999\n") == lines


def test_a_disk_that_was_full(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    real, is_full = os.write, True

    def write(descriptor: int, chunk: bytes) -> int:
        if is_full and descriptor == pipe.end:
            raise OSError(28, "No space left on device")
        return real(descriptor, chunk)

    monkeypatch.setattr(os, "write", write)
    pipe.writer.write(b"lost\nlost\n")
    assert pipe.writer.flush(5)
    is_full = False
    pipe.writer.write(b"kept\n")
    assert b"kept\nchat4all: 2 lines of output were dropped" in pipe.read_until(b"dropped: nothing")


def test_the_number_of_dropped_lines_is_kept_until_it_was_written(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failing = os.write, [b"lost\nlost\nlost\n", b"chat4all: 3 lines"]

    def write(descriptor: int, chunk: bytes) -> int:
        if descriptor == pipe.end and failing and bytes(chunk).startswith(failing[0]):
            failing.pop(0)
            raise OSError(28, "No space left on device")
        return real(descriptor, chunk)

    monkeypatch.setattr(os, "write", write)
    for chunk in (b"lost\nlost\nlost\n", b"kept\n", b"later\n"):
        pipe.writer.write(chunk)
        assert pipe.writer.flush(5)
    assert not failing
    assert b"later\nchat4all: 3 lines of output" in pipe.read_until(b"dropped: nothing")


def test_lines_of_processes_that_share_a_pipe_are_whole(pipe: Pipe) -> None:
    """The pipe is full again and again, because it is read slowly."""
    count = 4000

    def lines(letter: bytes) -> bytes:
        return b"".join(b"%s%05d%s\n" % (letter, n, letter * 90) for n in range(count))

    def work() -> None:
        other = BackgroundWriter(pipe.end)
        other.write(lines(b"b"))
        other.flush(20)

    child = threading.Thread(target=in_child, args=(work,))
    child.start()
    pipe.writer.write(lines(b"a"))
    read = b""
    deadline = time.monotonic() + 20
    while read.count(b"\n") < 2 * count and time.monotonic() < deadline:
        with suppress(BlockingIOError):
            read += os.read(pipe.reader, 1000)
    child.join()
    assert sorted(read.splitlines()) == (lines(b"a") + lines(b"b")).splitlines()


@pytest.mark.parametrize("how", ["closed reader", "closed descriptor"])
def test_nobody_reads(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "closed reader":
        os.dup2(os.open(os.devnull, os.O_RDONLY), pipe.reader)
    else:
        monkeypatch.setattr(pipe.writer, "_descriptor", 1_000_000)
    for _ in range(3):
        pipe.writer.write(b"x\n")
        assert pipe.writer.flush(5)
    assert pipe.writer._dropped_lines == 3


def test_the_log_tells_it_as_json(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", BackgroundStream(pipe.writer, pipe.end))
    try:
        configure_logging("info")
        count = fill(pipe.writer)
        logging.getLogger("x").warning("something")
        read = pipe.read_until(b'"lines": ')
        while b"}" not in read[read.index(b'"lines": ') :]:
            read += pipe.read_until(b"\n")
        (told,) = [one for one in read.splitlines() if b'"lines": ' in one]
        line = json.loads(told)
        assert line["message"] == "lines of the log were dropped"
        assert 0 < line["lines"] <= count + 1
        assert {"time", "level", "logger"} <= set(line)
    finally:
        root.handlers[:], root.level = before


def test_text_is_utf_8_in_any_locale(pipe: Pipe) -> None:
    stream = BackgroundStream(pipe.writer, pipe.end)
    print("Olá! 🎉 \udcff", file=stream, flush=True)
    assert pipe.read_until(b"\n") == "Olá! 🎉 \\udcff\n".encode()
    assert (stream.fileno(), stream.isatty(), stream.encoding) == (pipe.end, False, "utf-8")


def in_child(work: Callable[[], None]) -> int:
    """Run something in a forked process and return its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_file_never_gets_the_number_of_a_closed_descriptor() -> None:
    def work() -> None:
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        for name in ("stdin", "stdout", "stderr"):
            setattr(sys, name, None)  # as Python does where they are closed
        output.open_standard_descriptors()
        assert os.open(os.devnull, os.O_RDONLY) > 2
        assert sys.stdin.read() == ""
        print("nothing", flush=True)
        print("nothing", file=sys.stderr, flush=True)

    assert in_child(work) == 0
