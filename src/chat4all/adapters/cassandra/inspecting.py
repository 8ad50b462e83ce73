"""Reading the state of a keyspace and of the node that answers, without changing anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from chat4all.adapters.cassandra.migrating import steps
from chat4all.adapters.cassandra.session import CassandraSession

_NODE = "SELECT release_version, toUnixTimestamp(now()) FROM system.local"
_SETTINGS = "SELECT name, value FROM system_views.settings"
_REPLICATION = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?"
_APPLIED = "SELECT version FROM schema_migrations"
_PARTITIONS = "SELECT DISTINCT log_epoch, log_partition FROM dead_letters"
_LETTERS = (
    "SELECT toUnixTimestamp(replayed_at) FROM dead_letters "
    "WHERE log_epoch = ? AND log_partition = ? LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Node:
    """The node that answered. Time in milliseconds since 1970; before 4.0 it has no settings."""

    release: str
    clock_ms: int
    settings: Mapping[str, str | None]

    @property
    def syncs_before_ack(self) -> bool:
        """Whether it syncs its commit log before it answers, so that a crash loses no ack."""
        return self.settings.get("commitlog_sync") in ("batch", "group")


class CassandraInspection:
    """Reads; every method raises `Unavailable` when no node answers."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    async def node(self) -> Node:
        """Return the node that happens to answer."""
        ((release, clock_ms),) = await self._session.run(_NODE)
        return Node(release, clock_ms, dict(await self._session.run(_SETTINGS)))

    async def missing_steps(self) -> list[str]:
        """Return the migrations of this release that the keyspace does not have."""
        applied = {version for (version,) in await self._session.run(_APPLIED)}
        return [step.name for number, step in steps().items() if number not in applied]

    async def replicas(self, keyspace: str) -> int:
        """Return how many copies a keyspace has, in the datacentre that has the most."""
        ((replication,),) = await self._session.run(_REPLICATION, (keyspace,))
        return max([int(value) for value in dict(replication).values() if value.isdecimal()])

    async def letters_waiting(self, limit: int) -> int:
        """Return how many dead letters wait, among the first `limit` of each partition."""
        waiting = 0
        for place in await self._session.run(_PARTITIONS):
            rows = await self._session.run(_LETTERS, (*place, limit))
            waiting += sum(replayed is None for (replayed,) in rows)
        return waiting
