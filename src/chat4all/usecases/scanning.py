"""Scan files: each one is held back until it is known to be clean, and then released or refused.

A file is scanned by the gateway that finished it, or else, a minute after its last sign of life, by
any other one.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from chat4all.concurrency.keyed import Turns
from chat4all.concurrency.renewing import renewed
from chat4all.domain.errors import NotFound, TooLarge, Unavailable
from chat4all.domain.files import FileId, FileState, StoredFile
from chat4all.domain.ids import Username
from chat4all.domain.scanning import SCAN_LEASE_SECONDS, TOO_LARGE, Verdict
from chat4all.ports.blobs import Blobs
from chat4all.ports.scanning import Scanner, Scans
from chat4all.usecases.picturing import Picturing

AT_ONCE = 4
"""Files that one process has scanned at a time, each of another owner: whoever has many files, or
some that take long, holds nobody else's back. clamd has 10 threads by default."""

WAITING_MAX = 100
"""Files that have just become whole, and wait for their turn or are scanned."""

OF_OWNER_MAX = 50
"""Files of one owner, those among them that have been scanned and wait to be looked at: pictures
of an owner are looked at one by one. Further ones are taken when these are done."""

SOON_SECONDS = 10.0
"""How long an upload waits for its scan before it is answered: most files are ready by then."""

RENEW_SECONDS = SCAN_LEASE_SECONDS / 4

ROUNDS_MAX = 100
"""In one run."""

ROUND_SECONDS = 2.0
"""How long a round waits for the end of a scan."""

TRIES = 5
"""After so many that failed for the file's own sake, each further try is twice as far off."""

RETRY_SECONDS_MAX = 3600.0

FAILED_MAX = 10_000
"""Files whose failed tries are remembered; those tried last, if there are more."""

_log = logging.getLogger(__name__)


class Scanning:
    """Has files scanned, a few at a time."""

    def __init__(
        self,
        scans: Scans,
        blobs: Blobs,
        scanner: Scanner,
        picturing: Picturing,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scans = scans
        self._blobs = blobs
        self._scanner = scanner
        self._picturing = picturing
        self._running: dict[FileId, asyncio.Task[StoredFile | None]] = {}
        self._unscanned: dict[FileId, Username] = {}
        self._of_owner = Counter[Username]()
        self._has_room = asyncio.Event()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turns_of = Turns[Username]()
        self._tries = _Tries(clock)
        self._waiting = 0

    async def soon(self, file: StoredFile) -> StoredFile:
        """Scan a file that has just become whole; return it as it is within some seconds."""
        # What has been scanned may wait for long to be looked at: it takes no room from others.
        if file.state is not FileState.CHECKING or len(self._unscanned) >= WAITING_MAX:
            return file
        if (scan := self._start(file)) is None:
            return file
        if (await asyncio.wait({scan}, timeout=SOON_SECONDS))[0] and not scan.cancelled():
            return scan.result() or file
        return file

    async def scan(self) -> None:
        """Scan what waits. Raises `Unavailable` while the scanner does not answer."""
        await self._scanner.ping()
        served = set[Username]()
        for _ in range(ROUNDS_MAX):
            self._has_room.clear()
            files_of = Counter(self._unscanned.values())
            # Those who have enough here keep no room from others, however many more wait.
            enough = [owner for owner, files in files_of.items() if files >= AT_ONCE]
            room = AT_ONCE - len(files_of)
            taken = await self._scans.take(room, enough) if room > 0 else []
            for file in taken:
                self._start(file)
                served.add(file.owner)
            # More of those whose files were taken may wait, and are taken as these are scanned.
            if len(taken) < room and served.isdisjoint(enough):
                return
            if len(taken) < max(room, 1):
                with suppress(TimeoutError):
                    async with asyncio.timeout(ROUND_SECONDS):
                        await self._has_room.wait()

    async def count(self) -> None:
        """Count what waits for a scan at any gateway, for `waiting`."""
        self._waiting = await self._scans.waiting()

    def waiting(self) -> int:
        """Return how many files waited when they were counted last."""
        return self._waiting

    async def close(self) -> None:
        """End all scans. Another gateway begins them anew, or this one after a restart."""
        running = list(self._running.values())
        for scan in running:
            scan.cancel()
        if running:
            await asyncio.wait(running)

    def _start(self, file: StoredFile) -> "asyncio.Task[StoredFile | None] | None":
        """Start a scan, unless it is not time yet, or too many of the same owner are under way."""
        if (running := self._running.get(file.file_id)) is not None:
            return running
        if self._of_owner[file.owner] >= OF_OWNER_MAX or not self._tries.is_due(file.file_id):
            return None
        scan = asyncio.create_task(self._scanned(file))
        self._running[file.file_id] = scan
        self._unscanned[file.file_id] = file.owner
        self._of_owner[file.owner] += 1
        scan.add_done_callback(lambda _: self._end(file))
        return scan

    def _end(self, file: StoredFile) -> None:
        self._running.pop(file.file_id, None)
        self._is_scanned(file.file_id)
        self._of_owner[file.owner] -= 1
        if not self._of_owner[file.owner]:
            del self._of_owner[file.owner]

    def _is_scanned(self, file_id: FileId) -> None:
        self._unscanned.pop(file_id, None)
        self._has_room.set()

    async def _scanned(self, file: StoredFile) -> StoredFile | None:
        """Return a file as it is after its scan; None if that has to be tried again."""
        try:
            verdict = await renewed(
                asyncio.create_task(self._verdict(file)),
                lambda: self._scans.renew(file.file_id),
                RENEW_SECONDS,
            )
            settled = await self._scans.settle(file.file_id, verdict)
            if settled is not None and settled.state is FileState.REFUSED:
                _log.warning(
                    "a file was refused",
                    extra={"file": file.file_id, "user": file.owner, "found": verdict.found},
                )
                # What cannot be deleted now is deleted with all that is known of the file.
                await self._blobs.delete([settled.key])
        except (Unavailable, NotFound) as error:
            extra = {"file": file.file_id, "cause": str(error)}
            _log.warning("a file was not scanned, and waits for another try", extra=extra)
            return None
        except Exception:
            _log.exception("unexpected error in a scan", extra={"file": file.file_id})
            return None
        return settled

    async def _verdict(self, file: StoredFile) -> Verdict:
        async with self._turns_of.of(file.owner), self._turns:
            try:
                found = await self._scanner.scan(self._blobs.read(file.key))
            except TooLarge as error:
                _log.error("a file was refused without a scan", extra={"cause": str(error)})
                found = TOO_LARGE
            except Exception:
                self._tries.has_failed(file.file_id)
                raise
        self._tries.has_succeeded(file.file_id)
        self._is_scanned(file.file_id)
        if found is not None:
            return Verdict(found)
        # Only what is clean is decoded; others are scanned while it waits for its owner's turn.
        facts = await self._picturing.facts(
            file.file_id, file.key, file.facts.media_type, file.owner
        )
        return Verdict(None, facts)


@dataclass(frozen=True, slots=True)
class _Failed:
    times: int
    succeeded: int
    """How many scans of other files had succeeded by then."""
    due_at: float


class _Tries:
    """Says when a file whose scan has failed is due again; each gateway counts for itself.

    A failure is the file's own if another file was scanned since it failed before: clamd and the
    store work then. While nothing is scanned it is theirs, and everything is tried each time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: dict[FileId, _Failed] = {}
        self._succeeded = 0

    def is_due(self, file_id: FileId) -> bool:
        """Return whether to try a file now."""
        failed = self._failed.get(file_id)
        return failed is None or failed.due_at <= self._clock()

    def has_failed(self, file_id: FileId) -> None:
        """Note a failure."""
        before, due_at = self._failed.pop(file_id, None), self._clock()
        times = 1 if before is None else before.times + (self._succeeded > before.succeeded)
        if times >= TRIES:
            due_at += min(SCAN_LEASE_SECONDS * 2.0 ** (times - TRIES + 1), RETRY_SECONDS_MAX)
        self._failed[file_id] = _Failed(times, self._succeeded, due_at)
        if len(self._failed) > FAILED_MAX:
            del self._failed[next(iter(self._failed))]

    def has_succeeded(self, file_id: FileId) -> None:
        """Note a verdict, whatever it is."""
        self._failed.pop(file_id, None)
        self._succeeded += 1
