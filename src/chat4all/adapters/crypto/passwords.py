"""bcrypt, in its own threads so that hashing never slows anything else."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import bcrypt

from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import Overloaded
from chat4all.domain.passwords import PASSWORD_MAX_BYTES, normal_password
from chat4all.domain.text import UnfitText

T = TypeVar("T")

ROUNDS = 12
"""bcrypt's cost: 2 to this power iterations, about a quarter of a second."""

HASHING_NICENESS = 10

QUEUE_MAX = 64
"""Hashes that may wait; one more is refused at once."""

WAIT_SECONDS = 10.0
"""The deadline of a hash, its wait for a thread included: twice that of other parts, because its
threads give way to everything else."""


class BcryptPasswords:
    """The port `ports.security.Passwords`. It leaves one core free."""

    def __init__(self, rounds: int = ROUNDS, queue: int = QUEUE_MAX) -> None:
        self._rounds = rounds
        self._waiting = BoundedWaiting(queue, WAIT_SECONDS, "passwords wait to be checked")
        workers = max(1, (os.cpu_count() or 1) - 1)
        self._threads = ThreadPoolExecutor(
            workers, thread_name_prefix="bcrypt", initializer=_lower_priority
        )
        self._dummy_hash: bytes | None = None

    async def hash(self, password: str) -> bytes:
        """Return a salted hash; see `ports.security.Passwords`. `ValueError` above 72 bytes."""
        text = normal_password(password).encode()
        if len(text) > PASSWORD_MAX_BYTES:
            raise ValueError("bcrypt would ignore the end of this password")
        return await self._run(lambda: bcrypt.hashpw(text, self._salt()))

    async def verify(self, password: str, password_hash: bytes | None) -> bool:
        """Compare in a thread; see `ports.security.Passwords`."""
        return await self._run(partial(self._is_one_of, _spellings(password), password_hash))

    async def rehashed(self, password: str, password_hash: bytes) -> bytes | None:
        """Return a hash of its normal form; see `ports.security.Passwords`."""
        normal, *raw = _spellings(password)
        if not raw or await self._run(partial(self._compare, normal, password_hash)):
            return None
        return await self.hash(password)

    def close(self) -> None:
        """Finish the hashes that are running and drop those that wait."""
        self._threads.shutdown(cancel_futures=True)

    def _is_one_of(self, spellings: Sequence[bytes], password_hash: bytes | None) -> bool:
        if not spellings:  # nobody can have set it
            return self._compare(b"", None)
        return any(self._compare(text, password_hash) for text in spellings)

    def _compare(self, text: bytes, password_hash: bytes | None) -> bool:
        if password_hash is None:
            # A hash of the same cost: "no such user" must take as long as "wrong password".
            if self._dummy_hash is None:
                self._dummy_hash = bcrypt.hashpw(os.urandom(16).hex().encode(), self._salt())
            bcrypt.checkpw(text, self._dummy_hash)
            return False
        return bcrypt.checkpw(text, password_hash)

    def _salt(self) -> bytes:
        return bcrypt.gensalt(self._rounds)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._waiting.in_thread(self._threads, work)
        except TimeoutError:
            raise Overloaded("too many passwords wait to be checked") from None


def _lower_priority() -> None:
    """Lower this thread's priority: a sign-in can wait a few ms more than other requests.

    A sandbox may forbid it; raising here would break the whole pool, and with it every sign-in.
    """
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), HASHING_NICENESS)


def _spellings(password: str) -> Sequence[bytes]:
    """Return what was hashed if this is the password: its normal form, then the text as it is.

    Earlier releases hashed the text as it is. Only the user's text decides how many there are, so
    that an unknown user costs as many rounds.
    """
    spellings = []
    with suppress(UnfitText):
        spellings.append(normal_password(password))
    if password not in spellings:
        spellings.append(password)
    return [text for one in spellings if (text := _hashable(one)) is not None]


def _hashable(password: str) -> bytes | None:
    """Return what bcrypt compares, or None for a password that cannot have been set.

    A lone surrogate has no UTF-8; replacing it by `?` would make it match a real `?`.
    """
    try:
        text = password.encode()
    except UnicodeEncodeError:
        return None
    return text if len(text) <= PASSWORD_MAX_BYTES and b"\0" not in text else None
