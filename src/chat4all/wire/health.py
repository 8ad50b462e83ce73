"""Answers of the health routes, for the services and for their callers."""

from enum import StrEnum

import msgspec


class PartStatus(StrEnum):
    """How a dependency is."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    DEGRADED = "degraded"  # something is wrong, but the service still works


class Health(msgspec.Struct):
    """The process runs."""

    status: str = "ok"


class DependencyHealth(msgspec.Struct):
    """One dependency: `error` is null when all is well with it.

    `status` is `ok`, `unavailable`, or `degraded`: something is wrong, but the service still works.
    """

    # Not a PartStatus: an answer of a later release that has another one can still be read.
    status: str
    latency_ms: float
    error: str | None = None


class Readiness(msgspec.Struct):
    """What the service needs, each by itself."""

    status: str
    dependencies: dict[str, DependencyHealth]

    def failing(self) -> dict[str, DependencyHealth]:
        """Return the dependencies that report an error."""
        return {name: part for name, part in self.dependencies.items() if part.error is not None}


decode_health = msgspec.json.Decoder(Health).decode
"""Reads the answer of `/health`; raises `ValueError` for what is none."""

decode_readiness = msgspec.json.Decoder(Readiness).decode
"""Reads the answer of `/health/ready`; raises `ValueError` for what is none."""
