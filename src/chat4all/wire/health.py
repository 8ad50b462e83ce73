"""What the health routes answer."""

import msgspec


class Health(msgspec.Struct):
    """The process runs."""

    status: str = "ok"


class DependencyHealth(msgspec.Struct):
    """One dependency: `error` is null when all is well with it.

    `status` is `ok`, `unavailable`, or `degraded`: something is wrong, but the service still works.
    """

    status: str
    latency_ms: float
    error: str | None = None


class Readiness(msgspec.Struct):
    """What the service needs, each by itself."""

    status: str
    dependencies: dict[str, DependencyHealth]
