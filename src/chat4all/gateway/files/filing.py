"""The files of one gateway, put together: their routes, and the work in the background."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from chat4all.concurrency.periodic import periodically
from chat4all.gateway.files.endpoints import files_routes, no_files_routes
from chat4all.http.bound import Bound
from chat4all.http.fast_routes import FastRoute
from chat4all.http.limits import Limits
from chat4all.usecases.collecting import Collecting
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.picturing import Picturing
from chat4all.usecases.scanning import Scanning
from chat4all.usecases.signing_in import SigningIn
from chat4all.usecases.uploading import Uploading

COLLECT_EVERY_SECONDS = 60.0
SCAN_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class FilesUseCases:
    """What is done with files."""

    uploading: Uploading
    downloading: Downloading
    picturing: Picturing
    collecting: Collecting
    scanning: Scanning | None = None


class Filing:
    """Files, where there is a store for them; else routes that say that there is none."""

    def __init__(self, use_cases: FilesUseCases | None, signing_in: SigningIn, limits: Limits):
        self._use_cases = use_cases
        self.routes: Sequence[FastRoute] = no_files_routes()
        self.uses: Bound = {}
        if use_cases is not None:
            uploading, downloading = use_cases.uploading, use_cases.downloading
            picturing = use_cases.picturing
            self.routes = files_routes(signing_in, uploading, downloading, picturing, limits)
            self.uses = {Downloading: downloading}

    def end_uploads(self) -> None:
        """Let go of every upload: its client goes on at another gateway."""
        if self._use_cases is not None:
            self._use_cases.uploading.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Collect garbage, and scan what waits for it, while in this context."""
        if self._use_cases is None:
            yield
            return
        collect = self._use_cases.collecting.collect
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                periodically("deleting files", collect, COLLECT_EVERY_SECONDS)
            )
            if (scanning := self._use_cases.scanning) is not None:
                stack.push_async_callback(scanning.close)
                await stack.enter_async_context(
                    periodically("scanning files", scanning.scan, SCAN_EVERY_SECONDS)
                )
            yield
