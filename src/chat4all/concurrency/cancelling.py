"""Cancellations of a task, and those of something that it awaited."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def inner_cancellation_fails() -> Iterator[None]:
    """Raise `RuntimeError` for a cancellation that is not of this task, but of what it awaited.

    A driver's shared connection attempt may be cancelled, for example: as `CancelledError` that
    would end a loop in silence.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise RuntimeError(f"it was cancelled inside: {error!r}") from error
