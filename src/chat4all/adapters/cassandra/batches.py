"""How writes are cut into requests: whole buckets in order, and small writes put together."""

from collections.abc import Iterable, Iterator, Sequence

from chat4all.adapters.cassandra.keys import bucket_of
from chat4all.adapters.cassandra.session import Statement
from chat4all.domain.messages import StoredMessage

BATCH_BYTES = 1024 * 1024
"""A batch is cut before it has more than this; Cassandra refuses one of 16 MiB."""

ROW_BYTES = 200
"""What a row has beside its text, and a little more."""

PACK_PARTITIONS = 10
"""Partitions whose writes travel in one request; of more Cassandra warns."""

PACK_BYTES = 4 * 1024
"""Of such a request; of more than 5 KiB Cassandra warns, and above 50 KiB it refuses."""


def in_batches(messages: Sequence[StoredMessage]) -> Iterator[list[StoredMessage]]:
    """Cut one conversation's messages, in their order, into batches of one bucket each."""
    part: list[StoredMessage] = []
    size = 0
    for message in messages:
        weight = len(message.content.encode()) + ROW_BYTES
        full = part and size + weight > BATCH_BYTES
        if full or (part and bucket_of(message.seq) != bucket_of(part[0].seq)):
            yield part
            part, size = [], 0
        part.append(message)
        size += weight
    yield part


def in_packs(groups: Iterable[Sequence[Statement]]) -> Iterator[list[Statement]]:
    """Put small groups together, each of which writes to a partition of its own.

    Cassandra takes a request apart again: each partition is still written whole or not at all, and
    no group waits for another. It saves requests, which are what a router spends its time on.
    """
    pack: list[Statement] = []
    partitions = size = 0
    for group in groups:
        weight = sum(map(_weight, group))
        if pack and (partitions == PACK_PARTITIONS or size + weight > PACK_BYTES):
            yield pack
            pack, partitions, size = [], 0, 0
        pack += group
        partitions += 1
        size += weight
    if pack:
        yield pack


def _weight(statement: Statement) -> int:
    """Return about how many bytes a statement writes, rather too many."""
    texts = (value for value in statement[1] if isinstance(value, str))
    return ROW_BYTES + sum(len(text) * (1 if text.isascii() else 4) for text in texts)
