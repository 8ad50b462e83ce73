"""The settings by part: frozen values. Each process gets its own only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chat4all.domain.buckets import Bucket
from chat4all.domain.files import FileLimits, Quota
from chat4all.domain.people import UserSearch


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a service listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The key that signs tokens, and the other keys whose tokens are accepted."""

    secret: bytes | None = field(repr=False)
    accepted: Sequence[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PeopleSettings:
    """What applies to all clients: keys, lifetimes in seconds, limits, origins and proxies."""

    keys: TokenKeys
    access_token_seconds: int
    session_seconds: int
    sign_up_open: bool
    user_search: UserSearch
    rate_limits: bool
    send_per_second: int
    sign_ups_per_hour: int
    reads_per_second: int
    conversations_per_hour: int
    cors_origins: Sequence[str]
    trusted_proxies: Sequence[str]
    page: bool
    is_development: bool


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where the log and the live feed are on Kafka, and the consumer group of the routers."""

    bootstrap: str
    topic: str
    topic_events: str
    group: str


@dataclass(frozen=True, slots=True)
class CassandraSettings:
    """Where the store is on Cassandra."""

    hosts: Sequence[str]
    port: int
    keyspace: str


@dataclass(frozen=True, slots=True)
class FileSettings:
    """How much may be uploaded, and where a cluster keeps it.

    Without `s3` a cluster has no files. One machine has them in its data folder in any case.
    """

    s3: Bucket | None
    limits: FileLimits
    quota: Quota
    upload_rate: int
    """Bytes a second of all uploads of a process while messages are being sent."""
    clamd: str | None = None
    """Where a scanner listens: the absolute path of a Unix socket, or `host:port`."""

    @property
    def is_public(self) -> bool:
        """Say whether clients reach the store, to upload to it themselves."""
        return self.s3 is not None and self.s3.public_endpoint is not None


@dataclass(frozen=True, slots=True)
class OneMachineSettings:
    """Everything on one machine."""

    gateway: Listening
    metadata: Listening
    data: Path
    demo: bool
    log_level: str
    log_retention_days: int
    people: PeopleSettings
    files: FileSettings
    changed: Mapping[str, str]
    """Settings that are not the defaults, for the log: secrets without their values."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """A gateway of a cluster. `credential` authenticates it to the metadata service."""

    listening: Listening
    people: PeopleSettings
    kafka: KafkaSettings
    cassandra: CassandraSettings
    metadata_url: str
    credential: str | None = field(repr=False)
    files: FileSettings
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MetadataSettings:
    """A metadata service of a cluster. `credential` authenticates gateways to it."""

    listening: Listening
    people: PeopleSettings
    kafka: KafkaSettings
    cassandra: CassandraSettings
    database_url: str | None = field(repr=False)
    credential: str | None = field(repr=False)
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """A router of a cluster. One that is silent for `session_seconds` is replaced.

    `other_ports`: where its port is in use it may take one of so many that follow. `name` is
    unique in the group; None for the host's name with the port. `leaves`: when it is told to stop
    it gives its partitions to others, rather than to be back within a session.
    """

    listening: Listening
    other_ports: int
    kafka: KafkaSettings
    cassandra: CassandraSettings
    session_seconds: int
    name: str | None
    leaves: bool
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How `migrate` creates the topics; the log keeps a record for `retention_days`."""

    partitions: int
    replicas: int
    retention_days: int


@dataclass(frozen=True, slots=True)
class MigrationSettings:
    """What is created for a cluster: its topics, its keyspace, its tables and its bucket."""

    kafka: KafkaSettings
    topics: TopicSettings
    cassandra: CassandraSettings
    keyspace_replicas: int
    database_url: str | None = field(repr=False)
    files: FileSettings
