"""Every setting: read once from the environment (`loading`), handed out by part (`parts`)."""

from chat4all.settings.loading import check_names, load_settings, unknown_names
from chat4all.settings.parts import (
    CassandraSettings,
    FileSettings,
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
from chat4all.settings.reading import Settings, is_loopback

__all__ = [
    "CassandraSettings",
    "FileSettings",
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
    "check_names",
    "is_loopback",
    "load_settings",
    "unknown_names",
]
