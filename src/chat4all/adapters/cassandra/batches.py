"""Grouping writes into requests: buckets in order, and small writes together."""

from collections.abc import Iterable, Iterator, Sequence

from chat4all.adapters.cassandra.keys import bucket_of
from chat4all.adapters.cassandra.session import Statement
from chat4all.domain.kinds import PAYLOAD_MAX
from chat4all.domain.messages import StoredMessage

BATCH_BYTES = 1024 * 1024
"""The most bytes in a batch; Cassandra refuses one of 16 MiB."""

ROW_BYTES = 200
"""What a row takes besides its text, rounded up."""

PACK_PARTITIONS = 10
"""Partitions that are written in one request; Cassandra warns of more."""

PACK_BYTES = 4 * 1024
"""The most bytes in such a request; Cassandra warns above 5 KiB and refuses above 50 KiB."""


def in_batches(messages: Sequence[StoredMessage]) -> Iterator[list[StoredMessage]]:
    """Cut one conversation's messages, in their order, into batches of one bucket each.

    A payload is counted as four times what a record may have: numbers are written out in full.
    """
    part: list[StoredMessage] = []
    size = 0
    for message in messages:
        weight = len(message.content.encode()) + ROW_BYTES
        if not message.is_plain:
            weight += 4 * PAYLOAD_MAX
        full = part and size + weight > BATCH_BYTES
        if full or (part and bucket_of(message.seq) != bucket_of(part[0].seq)):
            yield part
            part, size = [], 0
        part.append(message)
        size += weight
    yield part


def in_parts(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Cut what is written to one partition, in any order, into batches."""
    part: list[Statement] = []
    size = 0
    for statement in statements:
        weight = _weight(statement)
        if part and size + weight > BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(statement)
        size += weight
    if part:
        yield part


def in_packs(groups: Iterable[Sequence[Statement]]) -> Iterator[list[Statement]]:
    """Combine small groups, each of which writes to a partition of its own.

    Cassandra splits a request again: each partition is still written whole or not at all, and no
    group waits for another. It saves requests, on which a router spends most of its time.
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
    """Return how many bytes a statement writes, at most."""
    texts = (value for value in statement[1] if isinstance(value, str))
    return ROW_BYTES + sum(len(text) * (1 if text.isascii() else 4) for text in texts)
