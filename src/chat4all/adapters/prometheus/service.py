"""The metrics of an HTTP service, and those of a gateway."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from chat4all.adapters.interposing import Call, interposed
from chat4all.adapters.prometheus.files import FileMetrics
from chat4all.adapters.prometheus.registry import REQUEST_SECONDS, new_registry, text_of
from chat4all.adapters.prometheus.sockets import SocketMetrics
from chat4all.adapters.prometheus.timing import Timings
from chat4all.domain.errors import NotAccepted, OutcomeUnknown, Unavailable
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Headers
from chat4all.ports.log import MessageLog
from chat4all.ports.sockets import SocketCounts

T = TypeVar("T")
L = TypeVar("L", bound=MessageLog)

READS = (
    "head",
    "page",
    "read_seq",
    "read_seqs",
    "receipts",
    "activity",
    "overviews",
    "read_by",
    "mentions",
    "with_id",
    "position",
    "changed",
    "with_numbers",
    "versions",
    "reactions",
)
"""What gateways and metadata services ask of a store."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ServiceMetrics:
    """The metrics of one HTTP service. `problem_key`: the scope's key for the kind of problem."""

    def __init__(self, version: str, problem_key: str) -> None:
        self.registry = new_registry("chat4all", version)
        self._problem_key = problem_key
        # Label values are the service's own: a path or a method that a client invents must not
        # create a new series.
        self._seconds = Histogram(
            "chat4all_http_request_duration_seconds",
            "Time until an answer began.",
            ["method", "route"],
            buckets=REQUEST_SECONDS,
            registry=self.registry,
        )
        self._requests = Counter(
            "chat4all_http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._refusals = Counter(
            "chat4all_http_refusals",
            "Requests that were answered with a problem, by its type.",
            ["status", "problem"],
            registry=self.registry,
        )
        self._connections = Gauge(
            "chat4all_http_connections", "Open HTTP connections.", registry=self.registry
        )
        self._sources_failed = Counter(
            "chat4all_metrics_sources_failed",
            "Times that another process' metrics were left out of an answer.",
            registry=self.registry,
        )
        self.source_failed: Callable[[], None] = self._sources_failed.inc
        self._bound: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}

    def answered(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        """Count a request; see `http.frame.RequestMeter`."""
        method = scope["method"]
        key = (
            method if method in _METHODS else "other",
            # The path template, which routers put into the scope.
            getattr(scope.get("route"), "path", "other"),
            status,
        )
        if (bound := self._bound.get(key)) is None:
            bound = self._bound[key] = (
                self._seconds.labels(*key[:2]),
                self._requests.labels(*key),
            )
        bound[0].observe(seconds)
        bound[1].inc()
        if (problem := scope.get(self._problem_key)) is not None:
            self._refusals.labels(status, problem).inc()

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Call `count` for the number of open connections whenever metrics are read."""
        self._connections.set_function(count)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return text_of(self.registry)


class MetadataMetrics(ServiceMetrics):
    """The metrics of a metadata service, which asks the log and the store too."""

    def __init__(self, version: str, problem_key: str) -> None:
        super().__init__(version, problem_key)
        self._append_seconds = Histogram(
            "chat4all_log_append_seconds",
            "Time until the log had a record on the disk.",
            buckets=REQUEST_SECONDS,
            registry=self.registry,
        )
        self._append_failures = Counter(
            "chat4all_log_append_failures",
            "Records that the log did not acknowledge: refused, or with an unknown outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._reads = Timings(self.registry, "chat4all_store_read", "a read of the store", READS)

    def log(self, log: L) -> L:
        """Return the log, its appends timed."""
        return interposed(log, {"append": self._append})

    def reads(self, store: T) -> T:
        """Return a store, its reads timed: those of any port that it has."""
        return self._reads.timed(store)

    def _append(self, append: Call) -> Call:
        observe = self._append_seconds.observe
        unknown = self._append_failures.labels("unknown")
        refused = self._append_failures.labels("refused")

        async def timed(key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
            started = time.perf_counter()
            try:
                position: LogPosition = await append(key, value, headers)
            except OutcomeUnknown:
                unknown.inc()
                raise
            except (NotAccepted, Unavailable):
                refused.inc()
                raise
            observe(time.perf_counter() - started)
            return position

        return timed


class GatewayMetrics(MetadataMetrics):
    """The metrics of a gateway, which has the metadata service's routes too."""

    def __init__(self, version: str, problem_key: str) -> None:
        super().__init__(version, problem_key)
        accepted = Counter(
            "chat4all_messages_accepted",
            "Messages that were answered with 202.",
            registry=self.registry,
        )
        self.accepted: Callable[[], None] = accepted.inc
        self._sockets = SocketMetrics()
        self.registry.register(self._sockets)
        self.files = FileMetrics(self.registry)

    def watch_sockets(self, counts: SocketCounts) -> None:
        """Report these whenever metrics are read."""
        self._sockets.counts = counts
