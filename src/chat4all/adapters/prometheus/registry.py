"""Common parts of the registries."""

import sys
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Info, Metric, ProcessCollector, generate_latest

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of durations: a commit takes milliseconds, a password check a quarter
of a second, and an append is given up after 5 seconds."""

BATCH_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def new_registry(prefix: str, version: str) -> CollectorRegistry:
    """Return a registry with metrics of the process and the build, their names with this prefix."""
    registry = CollectorRegistry()
    # A gateway's process metrics have the standard names, which dashboards expect.
    ProcessCollector(namespace="" if prefix == "chat4all" else prefix, registry=registry)
    Info(f"{prefix}_build", "What is running.", registry=registry).info(
        {"version": version, "python": ".".join(map(str, sys.version_info[:3]))}
    )
    return registry


def text_of(registry: CollectorRegistry) -> bytes:
    """Return a registry's metrics in Prometheus' text format."""
    return generate_latest(_Timeless(registry))


class _Timeless:
    """A registry without the metrics that say when each metric was created.

    The client library adds them, a third of all metrics, and can only turn them off for the whole
    process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric
