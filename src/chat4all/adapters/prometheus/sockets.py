"""The metrics of a gateway's WebSockets."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from chat4all.ports.sockets import SocketCounts


class SocketMetrics(Collector):
    """Reads numbers that are counted elsewhere.

    To count with the library's own counters would cost every write a twentieth.
    """

    def __init__(self) -> None:
        self.counts = SocketCounts()

    def collect(self) -> Iterator[Metric]:
        """Return the metrics; called by the registry."""
        counts = self.counts
        yield GaugeMetricFamily("chat4all_live_sockets", "Open WebSockets.", counts.open)
        yield CounterMetricFamily(
            "chat4all_live_frames_received", "Frames that clients sent.", counts.received
        )
        yield CounterMetricFamily(
            "chat4all_live_writes", "Writes of one frame or of several together.", counts.written
        )
        yield CounterMetricFamily(
            "chat4all_live_drops",
            "Writes that were left out because too much was waiting for the socket.",
            counts.dropped,
        )
        closes = CounterMetricFamily(
            "chat4all_live_closes", "WebSockets that have ended, by close code.", labels=["code"]
        )
        for code, count in sorted(counts.closes.items()):
            closes.add_metric([code], count)
        yield closes
