"""Ending a command by a signal, so that it takes away what it has made and started."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command; the first one is Ctrl-C."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """End what is done inside after a signal as after Ctrl-C; the status is as a shell shows it.

    A signal that is ignored, as SIGHUP is by `nohup`, stays so. While things are taken away further
    signals do nothing.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    received: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)
        received.append(number)
        raise KeyboardInterrupt

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt:
        if received in ([], [signal.SIGINT]):
            raise
        raise click.exceptions.Exit(128 + received[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
