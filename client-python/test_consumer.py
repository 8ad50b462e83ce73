"""Watch the messages that come into the log: `python test_consumer.py`, Ctrl+C to end.

Needs `pip install confluent-kafka`. KAFKA_BOOTSTRAP_SERVER (localhost:29092) and
KAFKA_TOPIC_CHAT_MESSAGES (chat_messages) can be set. It reads beside the routers and takes
nothing away from them; with --from-beginning it shows what is there already as well.
"""

import json
import os
import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

SERVER = os.environ.get("KAFKA_BOOTSTRAP_SERVER", "localhost:29092")
TOPIC = os.environ.get("KAFKA_TOPIC_CHAT_MESSAGES", "chat_messages")


def show(value: bytes | None) -> str:
    """Return one record as a line."""
    try:
        record = json.loads(value or b"")
        if record.get("type") != "chat_message":
            return f"({record['type']} in {record['chat_id']})"
        return f"{record['chat_id']} {record['sender_id']}: {record['content']}"
    except (ValueError, KeyError, AttributeError):
        return f"not a message: {value!r}"


def main() -> None:
    """Print every message as it comes."""
    # The client wants the name of a group, but joins none and commits nothing.
    consumer = Consumer(
        {"bootstrap.servers": SERVER, "group.id": "nobody", "enable.auto.commit": False}
    )
    try:
        topic = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC]
    except KafkaException as error:
        sys.exit(f"{SERVER} does not answer: {error}")
    if not topic.partitions:
        sys.exit(f"{SERVER} has no topic {TOPIC}: run `chat4all migrate`")
    partitions = [TopicPartition(TOPIC, number) for number in topic.partitions]
    for partition in partitions:
        first, end = consumer.get_watermark_offsets(partition)
        partition.offset = first if "--from-beginning" in sys.argv else end
    consumer.assign(partitions)
    print(f"Watching {TOPIC} on {SERVER} ...", flush=True)
    try:
        while True:
            record = consumer.poll(1)
            if record is None:
                continue
            if record.error():
                print(f"Trouble: {record.error()}", file=sys.stderr)
            else:
                print(show(record.value()), flush=True)
    except KeyboardInterrupt:
        print("Ended.")
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
