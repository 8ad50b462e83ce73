"""What is said while the containers are built and run: it goes to the terminal as it comes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from engines.packages import say


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long it took."""
    before = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - before:.1f} s")
