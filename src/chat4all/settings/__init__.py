"""Every setting: read once from the environment (`reading`), handed out by part (`parts`)."""

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
from chat4all.settings.reading import Settings, is_loopback, load_settings

__all__ = [
    "CassandraSettings",
    "GatewaySettings",
    "KafkaSettings",
    "Listening",
    "MetadataSettings",
    "MigrationSettings",
    "OneMachineSettings",
    "PeopleSettings",
    "RouterSettings",
    "Settings",
    "TokenKeys",
    "TopicSettings",
    "is_loopback",
    "load_settings",
]
