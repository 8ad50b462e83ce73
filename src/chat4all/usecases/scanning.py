"""Scan files: each one is held back until it is known to be clean, and then released or refused.

A file is scanned by the gateway that finished it, or else, a minute after its last sign of life, by
any other one.
"""

import asyncio
import logging

from chat4all.concurrency.renewing import renewed
from chat4all.domain.errors import NotFound, TooLarge, Unavailable
from chat4all.domain.files import FileId, FileState, StoredFile
from chat4all.domain.scanning import SCAN_LEASE_SECONDS, TOO_LARGE, Verdict
from chat4all.ports.blobs import Blobs
from chat4all.ports.scanning import Scanner, Scans
from chat4all.usecases.picturing import Picturing

AT_ONCE = 4
"""Files that one process has scanned at a time. clamd has 10 threads by default."""

WAITING_MAX = 100
"""Files that have just become whole, and wait for their turn, or to be looked at."""

TAKEN_MAX = 50
"""With how many of these others are taken too: the rest of the room is for what becomes whole."""

SOON_SECONDS = 10.0
"""How long an upload waits for its scan before it is answered: most files are ready by then."""

RENEW_SECONDS = SCAN_LEASE_SECONDS / 4

ROUNDS_MAX = 100
"""In one run."""

ROUND_SECONDS = 2.0
"""How long a round waits for the end of a scan."""

_log = logging.getLogger(__name__)


class Scanning:
    """Has files scanned, a few at a time."""

    def __init__(self, scans: Scans, blobs: Blobs, scanner: Scanner, picturing: Picturing) -> None:
        self._scans = scans
        self._blobs = blobs
        self._scanner = scanner
        self._picturing = picturing
        self._running: dict[FileId, asyncio.Task[StoredFile | None]] = {}
        self._unscanned = set[FileId]()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def soon(self, file: StoredFile) -> StoredFile:
        """Scan a file that has just become whole; return it as it is within some seconds."""
        if file.state is FileState.CHECKING and len(self._running) < WAITING_MAX:
            scan = self._start(file)
            if (await asyncio.wait({scan}, timeout=SOON_SECONDS))[0] and not scan.cancelled():
                return scan.result() or file
        return file

    async def scan(self) -> None:
        """Scan what waits. Raises `Unavailable` while the scanner does not answer."""
        await self._scanner.ping()
        for _ in range(ROUNDS_MAX):
            # What has been scanned may wait for long to be looked at: nothing else waits for that.
            room = min(AT_ONCE - len(self._unscanned), TAKEN_MAX - len(self._running))
            taken = await self._scans.take(room) if room > 0 else []
            for file in taken:
                self._start(file)
            if len(taken) < room or not self._running:
                return
            await asyncio.wait(
                self._running.values(),
                timeout=ROUND_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )

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

    def _start(self, file: StoredFile) -> "asyncio.Task[StoredFile | None]":
        if (running := self._running.get(file.file_id)) is not None:
            return running
        scan = asyncio.create_task(self._scanned(file))
        self._running[file.file_id] = scan
        self._unscanned.add(file.file_id)
        scan.add_done_callback(lambda _: self._end(file.file_id))
        return scan

    def _end(self, file_id: FileId) -> None:
        self._running.pop(file_id, None)
        self._unscanned.discard(file_id)

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
        async with self._turns:
            try:
                found = await self._scanner.scan(self._blobs.read(file.key))
            except TooLarge as error:
                _log.error("a file was refused without a scan", extra={"cause": str(error)})
                return Verdict(TOO_LARGE)
        self._unscanned.discard(file.file_id)
        if found is not None:
            return Verdict(found)
        # Only what is clean is decoded; others are scanned while it waits for its owner's turn.
        facts = await self._picturing.facts(file.key, file.facts.media_type, file.owner)
        return Verdict(None, facts)
