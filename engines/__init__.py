"""Real Kafka, Cassandra, PostgreSQL and S3 without containers, for development and for tests.

No part of the product: it never imports this. `python -m engines up` is what `make engines` runs;
tests start servers of their own with `KafkaBroker`, `CassandraNode`, `PostgresServer` and
`S3Server`.
"""

from engines.cassandra import CassandraNode
from engines.kafka import KafkaBroker
from engines.postgres import PostgresServer
from engines.s3 import S3Server
from engines.server import Failed, Server, free_port

__all__ = [
    "CassandraNode",
    "Failed",
    "KafkaBroker",
    "PostgresServer",
    "S3Server",
    "Server",
    "free_port",
]
