"""The port of scans: each call is a request; see `wire.internal`."""

from collections.abc import Collection, Sequence

from chat4all.adapters.metadata_http.service import MetadataService
from chat4all.domain.files import GARBAGE_MAX, FileId, StoredFile
from chat4all.domain.ids import Username
from chat4all.domain.scanning import Verdict
from chat4all.wire import internal_files as questions


class HttpScans:
    """The port `ports.scanning.Scans`."""

    def __init__(self, service: MetadataService) -> None:
        self._ask = service.ask

    async def take(self, limit: int, but_of: Collection[Username] = ()) -> Sequence[StoredFile]:
        """Return files to scan; see `ports.scanning.Scans`."""
        some = questions.TakeUnscanned(min(limit, GARBAGE_MAX), (*but_of,))
        answer: Sequence[StoredFile] = await self._ask(
            "take_unscanned", some, list[StoredFile], writes=True
        )
        return answer

    async def waiting(self) -> int:
        """Return how many files are held back; see `ports.scanning.Scans`."""
        answer: int = await self._ask(
            "count_unscanned", questions.CountUnscanned(), int, writes=False
        )
        return answer

    async def renew(self, file_id: FileId) -> None:
        """Keep a file from others for another while; see `ports.scanning.Scans`."""
        await self._ask("renew_scan", questions.RenewScan(file_id), None, writes=True)

    async def settle(self, file_id: FileId, verdict: Verdict) -> StoredFile | None:
        """Release a file or refuse it; see `ports.scanning.Scans`."""
        settling = questions.SettleScan(file_id, verdict)
        answer: StoredFile | None = await self._ask(
            "settle_scan", settling, StoredFile | None, writes=True
        )
        return answer
