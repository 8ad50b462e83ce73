"""MessageLog, LogConsumer and LiveFeed on Apache Kafka. Needs the extra `chat4all[cluster]`."""

from chat4all.adapters.kafka.consumer import KafkaConsumer
from chat4all.adapters.kafka.feed import KafkaAnnouncements, KafkaFeed
from chat4all.adapters.kafka.group import KafkaGroup, RoutersWatch
from chat4all.adapters.kafka.log import KafkaLog
from chat4all.adapters.kafka.partitions import partition_of
from chat4all.adapters.kafka.producer import KafkaProducer
from chat4all.adapters.kafka.topics import Topics, feed_settings, log_settings

__all__ = [
    "KafkaAnnouncements",
    "KafkaConsumer",
    "KafkaFeed",
    "KafkaGroup",
    "KafkaLog",
    "KafkaProducer",
    "RoutersWatch",
    "Topics",
    "feed_settings",
    "log_settings",
    "partition_of",
]
