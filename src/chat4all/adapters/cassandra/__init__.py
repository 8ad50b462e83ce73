"""The store and the dead letters on Apache Cassandra. Needs the extra `chat4all[cluster]`."""

from chat4all.adapters.cassandra.dead_letters import CassandraDeadLetters
from chat4all.adapters.cassandra.epochs import CassandraEpochs
from chat4all.adapters.cassandra.generation import CassandraGeneration
from chat4all.adapters.cassandra.inspecting import CassandraInspection
from chat4all.adapters.cassandra.migrating import migrate
from chat4all.adapters.cassandra.session import CassandraSession, Contact
from chat4all.adapters.cassandra.store import CassandraStore

__all__ = [
    "CassandraDeadLetters",
    "CassandraEpochs",
    "CassandraGeneration",
    "CassandraInspection",
    "CassandraSession",
    "CassandraStore",
    "Contact",
    "migrate",
]
