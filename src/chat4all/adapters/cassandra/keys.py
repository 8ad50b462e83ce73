"""Where rows are on Cassandra, and their write times: buckets, slots and timestamps."""

from uuid import UUID

from chat4all.domain.ids import BEFORE_ALL, LogPosition

BUCKET = 1_000
"""Numbers in one partition of `messages`: 64 MiB at the very most."""

BUCKET_MAX = 2**31 - 1
"""The largest `int` of Cassandra."""

SLOTS = 16
"""Partitions of `message_ids` in one conversation."""


def bucket_of(seq: int) -> int:
    """Return the bucket that a number is in."""
    return seq // BUCKET


def slot_of(message_id: UUID) -> int:
    """Return the slot that an id is in."""
    return message_id.int % SLOTS


def log_timestamp(position: LogPosition) -> int:
    """Return the write time of a record's columns: a later record's is higher (EXACTNESS 5).

    It is above that of migrated rows (0) and below every clock's, which is some 2⁵⁰ µs.
    """
    return (position.epoch << 40) + position.offset + 1


def first_wins_timestamp(position: LogPosition) -> int:
    """Return the write time for columns that the first record decides: a later one's is lower."""
    return (1 << 49) - log_timestamp(position)


TERMINAL_TIMESTAMP = 1 << 50
"""The write time of what nothing brings back: above every record's, below every clock's."""


def position_of(column: tuple[int, int, int] | None) -> LogPosition:
    """Return the log position in a column; below all others where there is none."""
    return BEFORE_ALL if column is None else LogPosition(*column)
