"""Real Kafka, Cassandra and PostgreSQL without containers, for development and for tests.

No part of the product: it never imports this. `python -m engines up` is what `make engines` runs;
tests start servers of their own with `KafkaBroker`, `CassandraNode` and `PostgresServer`.
"""

from engines.cassandra import CassandraNode
from engines.kafka import KafkaBroker
from engines.postgres import PostgresServer
from engines.server import Failed, Server, free_port

__all__ = ["CassandraNode", "Failed", "KafkaBroker", "PostgresServer", "Server", "free_port"]
