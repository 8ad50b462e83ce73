"""The files of one gateway, put together: their routes, and the work in the background."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from chat4all.concurrency.periodic import periodically
from chat4all.gateway.files.endpoints import files_routes, no_files_routes
from chat4all.gateway.files.transfers import Transfers
from chat4all.http.bound import Bound
from chat4all.http.fast_routes import FastRoute
from chat4all.http.limits import Limits
from chat4all.usecases.checking_uses import CheckingUses
from chat4all.usecases.collecting import Collecting
from chat4all.usecases.direct_uploads import DirectUploads
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.listing_files import ListingFiles
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.scanning import Scanning
from chat4all.usecases.sharing_objects import SharingObjects
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.uploading import Uploading

EVERY_SECONDS = 60.0
SCAN_EVERY_SECONDS = 5.0
COUNT_EVERY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class FilesUseCases:
    """What is done with files."""

    uploading: Uploading
    direct: DirectUploads
    downloading: Downloading
    listing: ListingFiles
    picturing: Picturing
    collecting: Collecting
    checking_uses: CheckingUses
    sharing: SharingObjects
    scanning: Scanning | None = None


class Filing:
    """Files, where there is a store for them; else routes that say that there is none."""

    def __init__(self, use_cases: FilesUseCases | None, signing_in: SigningIn, limits: Limits):
        self._use_cases = use_cases
        self.routes: Sequence[FastRoute] = no_files_routes()
        self.uses: Bound = {}
        self.transfers = Transfers()
        if use_cases is not None:
            uploading, downloading = use_cases.uploading, use_cases.downloading
            picturing = use_cases.picturing
            self.routes = files_routes(
                signing_in, uploading, downloading, picturing, limits, self.transfers
            )
            self.uses = {
                Downloading: downloading,
                DirectUploads: use_cases.direct,
                ListingFiles: use_cases.listing,
            }

    def end_uploads(self) -> None:
        """Let go of every upload: its client goes on at another gateway."""
        if self._use_cases is not None:
            self._use_cases.uploading.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do what is done for files again and again, while in this context."""
        if (use_cases := self._use_cases) is None:
            yield
            return
        every_minute = {
            "deleting files": use_cases.collecting.collect,
            "comparing files with messages": use_cases.checking_uses.check,
            "sharing equal files": use_cases.sharing.share,
        }
        async with AsyncExitStack() as stack:
            for name, work in every_minute.items():
                await stack.enter_async_context(periodically(name, work, EVERY_SECONDS))
            if (scanning := use_cases.scanning) is not None:
                stack.push_async_callback(scanning.close)
                await stack.enter_async_context(
                    periodically("scanning files", scanning.scan, SCAN_EVERY_SECONDS)
                )
                # Beside scanning, not in it: what waits grows while the scanner does not answer.
                await stack.enter_async_context(
                    periodically("counting files to scan", scanning.count, COUNT_EVERY_SECONDS)
                )
            yield
