"""The metrics of a gateway's files."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from chat4all.adapters.interposing import Around, Call, interposed
from chat4all.adapters.prometheus.scanning import ScanMetrics
from chat4all.adapters.prometheus.timing import Timings, counting
from chat4all.domain.errors import Unavailable, UnreadablePicture
from chat4all.ports.blobs import Blobs
from chat4all.ports.files import Files
from chat4all.ports.pictures import Pictures
from chat4all.ports.presigning import Presigning
from chat4all.ports.scanning import Scanner
from chat4all.ports.transfers import Direction, TransferCounts

_BLOBS = ("begin", "write", "finish", "abort", "put", "read", "delete")
_PRESIGNING = ("part_urls", "parts")
STORE = (*_BLOBS, *_PRESIGNING)
"""What a gateway asks of the store of files; the last two for uploads straight to it."""

_DIRECTIONS: tuple[Direction, ...] = ("upload", "download")


class FileMetrics(Collector):
    """Counts what is done with files, and reads numbers that are counted elsewhere."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts = TransferCounts()
        self._store = Timings(
            registry,
            "chat4all_files_store",
            "an operation of the store of files",
            [operation for operation in STORE if operation != "read"],
            streamed=["read"],
        )
        self._deleted = Counter(
            "chat4all_files_deleted",
            "Deletions of files and uploads that nobody needs, two of each, ten minutes apart.",
            registry=registry,
        )
        self._pictures = Counter(
            "chat4all_files_pictures",
            "Pictures that were looked at, and thumbnails, by what came of it.",
            ["operation", "outcome"],
            registry=registry,
        )
        self._scans = ScanMetrics(registry)
        registry.register(self)

    def watch(self, counts: TransferCounts) -> None:
        """Report these from now on."""
        self._counts = counts

    def blobs(self, blobs: Blobs) -> Blobs:
        """Return the store of files, timed."""
        return self._store.timed(blobs, _BLOBS)

    def presigning(self, presigning: Presigning) -> Presigning:
        """Return the same store as it is asked for uploads straight to it, timed."""
        return self._store.timed(presigning, _PRESIGNING)

    def scanner(self, scanner: Scanner) -> Scanner:
        """Return a scanner, its scans timed, and counted by what came of them."""
        return self._scans.scanner(scanner)

    def watch_unscanned(self, count: Callable[[], int]) -> None:
        """Call `count` for the files that wait for a scan whenever metrics are read."""
        self._scans.unscanned.set_function(count)

    def pictures(self, pictures: Pictures) -> Pictures:
        """Return pictures, those counted that are looked at, made, or refused."""
        names = ("look", "thumbnail")
        return interposed(pictures, {name: self._with_outcome(name) for name in names})

    def garbage(self, files: Files) -> Files:
        """Return files, those counted whose bytes are deleted."""
        count = counting(lambda file_ids: self._deleted.inc(len(file_ids)))
        return interposed(files, {"forget": count})

    def collect(self) -> Iterator[Metric]:
        """Return the metrics that are counted elsewhere; called by the registry."""
        counts = self._counts
        yield CounterMetricFamily(
            "chat4all_files_received_bytes", "Bytes of uploads that have arrived.", counts.received
        )
        yield CounterMetricFamily(
            "chat4all_files_sent_bytes",
            "Bytes of files and thumbnails that were sent.",
            counts.sent,
        )
        active = GaugeMetricFamily(
            "chat4all_files_transfers", "Uploads and downloads under way.", labels=["direction"]
        )
        stalls = CounterMetricFamily(
            "chat4all_files_stalls",
            "Uploads and downloads that were cut off because their client was too slow.",
            labels=["direction"],
        )
        for direction in _DIRECTIONS:
            active.add_metric([direction], counts.active[direction])
            stalls.add_metric([direction], counts.stalls[direction])
        yield active
        yield stalls

    def _with_outcome(self, operation: str) -> Around:
        # Created here, so that each is exported as 0 before its first event.
        done, refused, failed = (
            self._pictures.labels(operation, outcome) for outcome in ("done", "refused", "failed")
        )

        def around(call: Call) -> Call:
            async def counted(*arguments: object, **options: object) -> object:
                try:
                    result = await call(*arguments, **options)
                except UnreadablePicture:
                    refused.inc()
                    raise
                except Unavailable:
                    failed.inc()
                    raise
                done.inc()
                return result

            return counted

        return around
