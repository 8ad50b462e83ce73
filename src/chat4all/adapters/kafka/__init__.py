"""The log, its consumer and the live feed on Apache Kafka. Needs the extra `chat4all[cluster]`."""

from chat4all.adapters.kafka.awaited_log import NO_LOG, AwaitedLog
from chat4all.adapters.kafka.consumer import KafkaConsumer
from chat4all.adapters.kafka.feed import KafkaAnnouncements, KafkaFeed
from chat4all.adapters.kafka.group import GroupState, KafkaGroup
from chat4all.adapters.kafka.inspecting import KafkaInspection
from chat4all.adapters.kafka.log import KafkaLog
from chat4all.adapters.kafka.partitions import partition_of
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.adapters.kafka.progress import KafkaProgress
from chat4all.adapters.kafka.routers import RoutersWatch
from chat4all.adapters.kafka.topic_settings import (
    FEED_ADDED,
    Difference,
    TopicFacts,
    alter_command,
    differences,
    feed_settings,
    log_settings,
)
from chat4all.adapters.kafka.topics import Topics, topic_trouble

__all__ = [
    "FEED_ADDED",
    "NO_LOG",
    "AwaitedLog",
    "Difference",
    "GroupState",
    "KafkaAnnouncements",
    "KafkaConsumer",
    "KafkaFeed",
    "KafkaGroup",
    "KafkaInspection",
    "KafkaLog",
    "KafkaProducer",
    "KafkaProgress",
    "RoutersWatch",
    "TopicFacts",
    "Topics",
    "alter_command",
    "differences",
    "feed_settings",
    "log_settings",
    "partition_of",
    "topic_trouble",
]
