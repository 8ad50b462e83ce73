"""What the registries have in common."""

import sys
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Info, Metric, ProcessCollector, generate_latest

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of what somebody waits for: a commit takes milliseconds, a password
check a quarter of a second, and after 5 seconds the log is given up."""

BATCH_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def new_registry(prefix: str, version: str) -> CollectorRegistry:
    """Return a registry that knows its process and its build, under names with this prefix."""
    registry = CollectorRegistry()
    # The process that a gateway runs in goes by the names that every dashboard knows.
    ProcessCollector(namespace="" if prefix == "chat4all" else prefix, registry=registry)
    Info(f"{prefix}_build", "What is running.", registry=registry).info(
        {"version": version, "python": ".".join(map(str, sys.version_info[:3]))}
    )
    return registry


def text_of(registry: CollectorRegistry) -> bytes:
    """Return what a registry holds in Prometheus' text format."""
    return generate_latest(_Timeless(registry))


class _Timeless:
    """A registry without the time at which each metric was made.

    The client library adds them as metrics of their own, a third of all there are, and has only a
    switch for the whole process to turn them off.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric
