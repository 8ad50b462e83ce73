"""Standard output and error of a process that must not wait for their readers.

A pipe whose reader has stopped, a full disk, a reader that has gone: lines are dropped and counted,
and the service goes on. Once output works again, it says how many are missing.
"""

import atexit
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

QUEUE_BYTES = 1024 * 1024
"""What may wait to be written; further lines are dropped."""

RETRY_SECONDS = 1.0
"""The pause after an output failed, before it is tried again."""

FLUSH_SECONDS = 0.5
"""How long the end of a process may wait for its last lines to be written."""

STDOUT, STDERR = 1, 2


def say_dropped(lines: int) -> str:
    """Return the line that tells how many are missing. `logs` has one that is JSON."""
    return f"chat4all: {lines} lines of output were dropped: nothing took them"


class BackgroundWriter:
    """Writes to a descriptor in a thread of its own; `write` never waits."""

    def __init__(self, descriptor: int) -> None:
        self.say_dropped: Callable[[int], str] = say_dropped
        self._descriptor = descriptor
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped_lines = 0
        self._is_torn = False
        self._is_idle = True
        # Reentrant, as is everything that may be called by a signal handler or a destructor.
        self._changed = threading.Condition(threading.RLock())
        self._ended = threading.Event()
        name = f"output-{descriptor}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, chunk: bytes) -> None:
        """Write this a moment later, or drop it where too much waits."""
        with self._changed:
            if self._waiting_bytes + len(chunk) > QUEUE_BYTES:
                self._dropped_lines += chunk.count(b"\n")
                return
            self._chunks.append(chunk)
            self._waiting_bytes += len(chunk)
            self._changed.notify_all()

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until everything was written or dropped, at most so long; say whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_idle and not self._chunks, seconds)

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Flush, and end the thread."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(seconds)

    def _run(self) -> None:
        while (chunk := self._take()) is not None:
            if unwritten := self._put(chunk):
                self._count_dropped(unwritten.count(b"\n"))
                self._ended.wait(RETRY_SECONDS)
            elif dropped := self._take_dropped():
                line = f"{self.say_dropped(dropped)}\n"
                if self._put(line.encode(errors="backslashreplace")):
                    self._count_dropped(dropped)

    def _take(self) -> bytes | None:
        """Wait for what is to be written; None at the end."""
        with self._changed:
            self._is_idle = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._chunks or self._ended.is_set())
            if not self._chunks:
                return None
            self._is_idle = False
            taken = b"".join(self._chunks)
            self._chunks.clear()
            self._waiting_bytes = 0
            return taken

    def _take_dropped(self) -> int:
        with self._changed:
            dropped, self._dropped_lines = self._dropped_lines, 0
            return dropped

    def _count_dropped(self, lines: int) -> None:
        with self._changed:
            self._dropped_lines += lines

    def _put(self, chunk: bytes) -> bytes:
        """Write all of it; return what could not be written.

        Several processes may share a pipe, where only short writes are atomic.
        """
        rest = memoryview(b"\n" + chunk if self._is_torn else chunk)
        while rest:
            try:
                written = os.write(self._descriptor, rest[: _atomic(rest)])
            except BlockingIOError:  # another process made the pipe non-blocking
                select.select([], [self._descriptor], [], RETRY_SECONDS)
            except OSError:
                return bytes(rest[-len(chunk) :])
            else:
                self._is_torn = rest[written - 1] != ord("\n")
                rest = rest[written:]
        return b""


def _atomic(rest: memoryview) -> int:
    """Return how many bytes to write at once: whole lines, as many as a pipe takes as one."""
    if len(rest) <= select.PIPE_BUF:
        return len(rest)
    return bytes(rest[: select.PIPE_BUF]).rfind(b"\n") + 1 or select.PIPE_BUF


class BackgroundStream(io.TextIOBase):
    """A text stream, in UTF-8 whatever the locale, over a `BackgroundWriter`."""

    def __init__(self, writer: BackgroundWriter, descriptor: int) -> None:
        self.writer = writer
        self._descriptor = descriptor

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """UTF-8: JSON and text for pasting must arrive as they are, also in an ASCII locale."""
        return "utf-8"

    def write(self, text: str) -> int:
        """Write text a moment later."""
        self.writer.write(text.encode(errors="backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor that is written to."""
        return self._descriptor

    def isatty(self) -> bool:
        """Say whether a person reads it."""
        return os.isatty(self._descriptor)


def write_in_background() -> None:
    """Let what this process prints and logs be written in the background from now on.

    Threads do not survive a fork: each process calls this for itself, and `flush_output` where it
    ends without Python's own shutdown.
    """
    for name, descriptor in (("stdout", STDOUT), ("stderr", STDERR)):
        _put_in_background(name, descriptor)


def speak_in_background() -> None:
    """Let what a command says on standard error hold it up no more, nor end it, from now on.

    Only where that is the process's own: not where a test or a caller has put something else.
    """
    _in_background("stderr", STDERR)


def answer_in_background() -> None:
    """Let standard output, too, hold up nothing: of a command whose status is its answer."""
    _in_background("stdout", STDOUT)
    speak_in_background()


def say(sentence: str) -> None:
    """Say something on standard error that nothing is to wait for, nor to fail for."""
    speak_in_background()
    with suppress(OSError):
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def _in_background(name: str, descriptor: int) -> None:
    stream = getattr(sys, name)
    try:
        is_own = stream.fileno() == descriptor
    except (OSError, ValueError):
        return
    if is_own:
        _put_in_background(name, descriptor)


def _put_in_background(name: str, descriptor: int) -> None:
    if not isinstance(getattr(sys, name), BackgroundStream):
        setattr(sys, name, BackgroundStream(BackgroundWriter(descriptor), descriptor))
        atexit.register(flush_output)


def flush_output() -> None:
    """Wait a moment for the last lines to be written."""
    end = time.monotonic() + FLUSH_SECONDS
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, BackgroundStream):
            stream.writer.flush(max(0.0, end - time.monotonic()))


def discard_output() -> None:
    """Let nothing more be written to standard output, also by Python's own shutdown."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def open_standard_descriptors() -> None:
    """Open /dev/null where a process was started without standard input, output or error.

    Or else the next file that is opened, such as a database, would get that number, and be written
    to by whatever prints.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # `closefd`: a stream that is replaced must not take its descriptor along.
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
