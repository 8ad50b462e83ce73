"""Threads for work in bulk, to which the system gives processors last."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

NICENESS = 15
"""Added to the process's own: other threads get some thirty times as much where all are busy."""


def background_threads(most: int, name: str) -> ThreadPoolExecutor:
    """Return threads, which begin to run as they are needed."""
    return ThreadPoolExecutor(most, thread_name_prefix=name, initializer=_give_way)


def _give_way() -> None:
    # Of this thread alone, on Linux; elsewhere it stays as it is.
    with contextlib.suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
