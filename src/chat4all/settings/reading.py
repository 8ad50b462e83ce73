"""Every setting, from the environment, and how a value is checked."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from chat4all.domain.errors import StartRefused
from chat4all.domain.people import UserSearch
from chat4all.settings.addresses import Origins, ServerAddress
from chat4all.settings.files import FileValues
from chat4all.settings.names import PREFIX, is_injected, names_of
from chat4all.settings.parts import (
    CassandraSettings,
    GatewaySettings,
    KafkaSettings,
    Listening,
    MetadataSettings,
    MigrationSettings,
    OneMachineSettings,
    PeopleSettings,
    RouterSettings,
    TokenKeys,
    TopicSettings,
)

_TOPIC = r"^[A-Za-z0-9._-]{1,249}$"

ROUTER_PORTS_MORE = 97
"""A router whose port was not set takes one of the ports 8002 to 8099."""

_Names = Annotated[tuple[str, ...], NoDecode]
"""Several values, with commas between them."""


class _Environment(EnvSettingsSource):
    """The environment without the addresses that a container platform sets for ports.

    What is empty is not set: `${NAME}` in a compose file, of a name that nobody has set. Nor is
    `CHAT4ALL_SECRET_KEY`, which pydantic takes as well where the name is `SECRET_KEY`.
    """

    def _load_env_vars(self) -> Mapping[str, str | None]:
        fields = self.settings_cls.model_fields.items()
        names = {name for field, info in fields for name in names_of(field, info)}
        return {
            name: value
            for name, value in super()._load_env_vars().items()
            if value and name.upper() in names and not is_injected(name.upper(), value)
        }


class Settings(FileValues):
    """What can be set. Names without the prefix are those of the original interface."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True
    )
    _keys_beside: tuple[bytes, ...] = ()  # in `secret_key_file`.next and .previous

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="The gateway's port.")
    metadata_port: int = Field(8001, ge=1, le=65535, description="The metadata service's port.")
    data: Path = Field(Path("chat4all-data"), description="Folder for all data.")
    demo: bool = Field(
        True, description="Make demonstration data in a new folder, on loopback only."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="`debug` also logs every request that went well."
    )
    log_retention_days: int = Field(
        30, ge=1, description="Days that routed records stay in the log; messages stay for ever."
    )
    secret_key: SecretStr | None = Field(
        None,
        validation_alias="SECRET_KEY",
        description="Signs tokens, 32 bytes or more; left out, one is made and kept with the data.",
    )
    secret_key_file: Path | None = Field(
        None,
        validation_alias="SECRET_KEY_FILE",
        description="A file that has it; `FILE.next` and `FILE.previous` are accepted.",
    )
    secret_keys_accepted: SecretStr | None = Field(
        None,
        validation_alias="SECRET_KEYS_ACCEPTED",
        description="Other keys, with commas between, whose tokens are good while keys change.",
    )
    access_token_expire_minutes: int = Field(
        30,
        ge=1,
        le=525_600,
        validation_alias="ACCESS_TOKEN_EXPIRE_MINUTES",
        description="How long an access token is good.",
    )
    session_days: int = Field(
        30, ge=1, le=3650, description="A device that was not used for so long is signed out."
    )
    sign_up: Literal["open", "closed"] = Field(
        "open", description="`closed`: nobody signs up; 403."
    )
    user_search: UserSearch = Field(
        UserSearch.EVERYBODY,
        description="Whom users find by how names begin: `everybody`, `contacts`, `nobody`.",
    )
    page: bool = Field(True, description="`off`: gateways serve no chat page at `/`.")
    rate_limits: bool = Field(True, description="`off` lifts every limit, for measurements.")
    send_per_second: int = Field(
        50, ge=1, le=1_000_000, description="Messages a second of one user, after a burst of 4 s."
    )
    sign_ups_per_hour: int = Field(20, ge=1, le=1_000_000, description="Sign-ups of one address.")
    reads_per_second: int = Field(
        10, ge=1, le=1_000_000, description="Read markers of one user, after a burst of 30 s."
    )
    conversations_per_hour: int = Field(
        200, ge=1, le=1_000_000, description="Conversations that one user starts."
    )
    kafka_bootstrap: str = Field(
        "kafka:9092",
        pattern=r"\S",
        validation_alias=AliasChoices("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BROKER_URL"),
        description="Kafka's brokers, `host:port`, with commas between.",
    )
    kafka_topic: str = Field(
        "chat_messages",
        pattern=_TOPIC,
        validation_alias=AliasChoices("KAFKA_TOPIC_CHAT_MESSAGES", "KAFKA_TOPIC"),
        description="The log's topic.",
    )
    kafka_topic_events: str = Field(
        "chat_events", pattern=_TOPIC, description="The live feed's topic."
    )
    kafka_group: str = Field(
        "chat4all-router", min_length=1, description="The consumer group that all routers are in."
    )
    kafka_partitions: int = Field(
        64, ge=1, le=10_000, description="Partitions of a log that `migrate` makes."
    )
    kafka_replicas: int = Field(
        1, ge=1, le=9, description="Copies of each topic that `migrate` makes; 3 in production."
    )
    cassandra_hosts: _Names = Field(
        ("cassandra",),
        min_length=1,
        validation_alias="CASSANDRA_HOSTS",
        description="Cassandra's nodes, with commas between.",
    )
    cassandra_port: int = Field(9042, ge=1, le=65535, description="Their port.")
    cassandra_keyspace: str = Field(
        "chat4all_ks",
        pattern=r"^[a-z][a-z0-9_]{0,47}$",
        validation_alias="CASSANDRA_KEYSPACE",
        description="The keyspace of messages.",
    )
    cassandra_replicas: int = Field(
        1, ge=1, le=9, description="Copies of a keyspace that `migrate` makes; 3 in production."
    )
    router_port: int = Field(
        8002, ge=1, le=65535, description="The router's port, for health and metrics."
    )
    router_session_seconds: int = Field(
        10, ge=6, le=300, description="After so long a router that says nothing is replaced."
    )
    router_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="A router's name, its own and the same after a restart; left out, the name of "
        "its host with the port.",
    )
    router_on_stop: Literal["leave", "return"] = Field(
        "leave",
        description="What SIGTERM means to a router: `leave` hands its conversations to others at "
        "once, `return` keeps them for one that starts under its name within a session.",
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="The metadata service's database: `cockroachdb://`, `postgresql://`, "
        "`sqlite:///`.",
    )
    metadata_url: ServerAddress = Field(
        "http://metadata_service:8001",
        description="Where gateways find the metadata service.",
    )
    service_credential: SecretStr | None = Field(
        None,
        description="What gateways show the metadata service, 32 characters or more.",
    )
    service_credential_file: Path | None = Field(None, description="A file that has it, instead.")
    deployment: Literal["production", "development"] = Field(
        "production",
        description="`development` allows `chat4all demo`, whose passwords are known, and `/docs` "
        "tells them.",
    )
    cors_origins: Origins = Field(
        (), description="Origins whose pages may read answers and open sockets; or `*` alone."
    )
    trusted_proxies: _Names = Field(
        (), description="Addresses or networks whose `X-Forwarded-For` and `-Proto` are believed."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read options, then the environment."""
        return init_settings, _Environment(settings_cls)

    @property
    def is_cluster(self) -> bool:
        """Whether they are of a cluster: an address that only a cluster has is set."""
        named = {"kafka_bootstrap", "cassandra_hosts", "database_url", "metadata_url"}
        return not named.isdisjoint(self.model_fields_set)

    @property
    def changed(self) -> Mapping[str, str]:
        """The settings that are not the defaults, for the log: secrets without their values."""
        found = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                found[name] = "(set)"
            elif value != field.default:
                found[name] = ",".join(value) if isinstance(value, tuple) else str(value)
        return found

    @property
    def keys(self) -> TokenKeys:
        """The key that signs tokens, and those whose tokens are accepted as well."""
        accepted = (_text(self.secret_keys_accepted) or "").encode().replace(b",", b" ").split()
        secret = _text(self.secret_key)
        keys = (*self._keys_beside, *accepted)
        return TokenKeys(None if secret is None else secret.encode(), keys)

    @property
    def people(self) -> PeopleSettings:
        """What applies to all clients."""
        return PeopleSettings(
            self.keys,
            access_token_seconds=self.access_token_expire_minutes * 60,
            session_seconds=self.session_days * 86_400,
            sign_up_open=self.sign_up == "open",
            user_search=self.user_search,
            rate_limits=self.rate_limits,
            send_per_second=self.send_per_second,
            sign_ups_per_hour=self.sign_ups_per_hour,
            reads_per_second=self.reads_per_second,
            conversations_per_hour=self.conversations_per_hour,
            cors_origins=self.cors_origins,
            trusted_proxies=self.trusted_proxies,
            page=self.page,
            is_development=self.deployment == "development",
        )

    @property
    def kafka(self) -> KafkaSettings:
        """The log and the live feed of a cluster."""
        return KafkaSettings(
            self.kafka_bootstrap,
            self.kafka_topic,
            self.kafka_topic_events,
            self.kafka_group,
        )

    @property
    def cassandra(self) -> CassandraSettings:
        """The store of a cluster."""
        return CassandraSettings(self.cassandra_hosts, self.cassandra_port, self.cassandra_keyspace)

    @property
    def one_machine(self) -> OneMachineSettings:
        """The part for `chat4all up`. Raises `StartRefused` where two services have one port."""
        if self.port == self.metadata_port:
            raise StartRefused(
                f"the gateway and the metadata service both have port {self.port}: give each its "
                "own, with --port and --metadata-port"
            )
        return OneMachineSettings(
            Listening(self.host, self.port),
            Listening(self.host, self.metadata_port),
            self.data,
            self.demo,
            self.log_level,
            self.log_retention_days,
            self.people,
            self.files,
            self.changed,
        )

    @property
    def gateway(self) -> GatewaySettings:
        """The part for `chat4all gateway`."""
        return GatewaySettings(
            Listening(self.host, self.port),
            self.people,
            self.kafka,
            self.cassandra,
            self.metadata_url,
            _text(self.service_credential),
            self.files,
            self.changed,
        )

    @property
    def metadata(self) -> MetadataSettings:
        """The part for `chat4all metadata`."""
        return MetadataSettings(
            Listening(self.host, self.metadata_port),
            self.people,
            self.kafka,
            self.cassandra,
            _text(self.database_url),
            _text(self.service_credential),
            self.changed,
        )

    @property
    def router(self) -> RouterSettings:
        """The part for `chat4all router`."""
        return RouterSettings(
            Listening(self.host, self.router_port),
            0 if "router_port" in self.model_fields_set else ROUTER_PORTS_MORE,
            self.kafka,
            self.cassandra,
            self.router_session_seconds,
            self.router_name,
            self.router_on_stop == "leave",
            self.changed,
        )

    @property
    def migration(self) -> MigrationSettings:
        """The part for `chat4all migrate`."""
        return MigrationSettings(
            self.kafka,
            TopicSettings(self.kafka_partitions, self.kafka_replicas, self.log_retention_days),
            self.cassandra,
            self.cassandra_replicas,
            _text(self.database_url),
            self.files,
        )

    @field_validator("cors_origins", "trusted_proxies", "cassandra_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for raw in value.split(",") if (part := raw.strip()))
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(
                    f"{network!r} is not an address or a network like 10.0.0.0/8"
                ) from None
        return value


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
