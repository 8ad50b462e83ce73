"""A cluster as the checks see it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chat4all.adapters.cassandra import CassandraSession
from chat4all.domain.records import Epoch
from chat4all.processes.cluster import contact_of
from chat4all.settings import Settings


@dataclass(slots=True)
class Cluster:
    """The cluster, and results of earlier checks. `services`: URLs of services to query."""

    settings: Settings
    services: Sequence[str]
    session: CassandraSession
    kafka_answers: bool = field(default=False, init=False)
    cassandra_answers: bool = field(default=False, init=False)
    epoch: Epoch | None = field(default=None, init=False)


@asynccontextmanager
async def opened_cluster(settings: Settings, services: Sequence[str]) -> AsyncIterator[Cluster]:
    """Open a cluster for the checks. `services`: URLs of services to query."""
    session = CassandraSession(contact_of(settings.cassandra))
    try:
        yield Cluster(settings, services, session)
    finally:
        await session.close()
