"""What users' commands say on standard error: it holds them up in nothing, and ends none."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click
import pytest

from chat4all.client import Disconnected
from chat4all.concurrency import output
from chat4all.concurrency.output import BackgroundStream
from chat4all.terminal.asking import run
from chat4all.terminal.telling import Teller
from tests.pipes import full_pipe


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def left() -> int:
    """Return a pipe whose reader has gone."""
    reader, end = os.pipe()
    os.close(reader)
    return end


def stopped() -> int:
    """Return a full pipe that nobody reads; this process keeps its reader open."""
    reader, end = full_pipe()
    readers.append(reader)
    return end


readers: list[int] = []


@contextmanager
def saying_to(end: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have it as standard error. Inside of a test: pytest puts its own in place before each."""
    stderr = os.fdopen(end, "w", closefd=False, buffering=1)
    with monkeypatch.context() as patched:
        patched.setattr(output, "STDERR", end)
        patched.setattr(output, "RETRY_SECONDS", 0.01)
        patched.setattr(sys, "stderr", stderr)
        yield
        writer = sys.stderr.writer if isinstance(sys.stderr, BackgroundStream) else None
    while readers:
        os.close(readers.pop())  # so that a write that waits ends
    if writer is not None:
        writer.close(10)
    with suppress(OSError):
        stderr.close()
    os.close(end)


@pytest.mark.parametrize("opened", [full, left, stopped])
def test_a_break_is_told_without_waiting_and_a_signal_still_ends_it(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[[], int]
) -> None:
    told = False

    async def work() -> None:
        nonlocal told
        teller = Teller.__new__(Teller)  # what it prints elsewhere is not needed
        await teller.event(Disconnected(1012, "the server is restarted"))
        told = True
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    with saying_to(opened(), monkeypatch), pytest.raises(click.exceptions.Exit) as ended:
        run(work())
    assert told
    assert ended.value.exit_code == 128 + signal.SIGTERM


def test_what_stands_in_for_standard_error_stays() -> None:
    before = sys.stderr

    async def work() -> None:
        assert sys.stderr is before

    run(work())
