"""Dead letters on Cassandra: a partition for each of the log's, in the log's order."""

from collections.abc import Sequence
from datetime import UTC, datetime

from chat4all.adapters.cassandra.session import CassandraSession, Row, together
from chat4all.domain.errors import NotAccepted
from chat4all.domain.ids import BEFORE_ALL, LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.wire.records import decode_headers, encode_headers

_COLUMNS = (
    "log_epoch, log_partition, log_offset, cause, key, value, toUnixTimestamp(put_aside_at), "
    "toUnixTimestamp(replayed_at), replayed_by, headers"
)
_AT = "WHERE log_epoch = ? AND log_partition = ? AND log_offset = ?"
_PUT = (
    "INSERT INTO dead_letters (log_epoch, log_partition, log_offset, cause, key, value, "
    "put_aside_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_PUT_WITH_HEADERS = (
    "INSERT INTO dead_letters (log_epoch, log_partition, log_offset, cause, key, value, "
    "put_aside_at, headers) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
# A column that step 4 adds: without it a letter is refused before anything of it is written.
_IS_THERE = f"SELECT headers FROM dead_letters {_AT}"
_GET = f"SELECT {_COLUMNS} FROM dead_letters {_AT}"
_PING = "SELECT headers FROM dead_letters LIMIT 1"
_PARTITIONS = "SELECT DISTINCT log_epoch, log_partition FROM dead_letters"
_FROM = (
    f"SELECT {_COLUMNS} FROM dead_letters "
    "WHERE log_epoch = ? AND log_partition = ? AND log_offset > ? ORDER BY log_offset LIMIT ?"
)
_REPLAYED = f"UPDATE dead_letters SET replayed_at = ?, replayed_by = ?, value = ? {_AT} IF EXISTS"


BYTES_MAX = 2 * 1024 * 1024
"""Bytes of a dead letter: twice what a Kafka topic takes by default. Cassandra takes no write above
half a segment of its commit log, which is 16 MiB by default."""


class CassandraDeadLetters:
    """The ports of `ports.dead_letters`, on a table of `migrations/`."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session

    async def ping(self) -> None:
        """Return when dead letters can be kept. `Unavailable` also before `chat4all migrate`."""
        await self._session.run(_PING)

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; see `ports.dead_letters.DeadLetterSink`."""
        await together(self._add(letter) for letter in letters)

    async def get(self, log_position: LogPosition) -> DeadLetter | None:
        """Return one dead letter; see `ports.dead_letters.DeadLetters`."""
        rows = await self._session.run(_GET, log_position)
        return _letter(rows[0]) if rows else None

    async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
        """Return dead letters; see `ports.dead_letters.DeadLetters`."""
        letters: list[DeadLetter] = []
        for place in sorted(await self._session.run(_PARTITIONS)):
            if place < after[:2]:
                continue
            offset = after.offset if place == after[:2] else -1
            rows = await self._session.run(_FROM, (*place, offset, limit - len(letters)))
            letters += [_letter(row) for row in rows]
            if len(letters) >= limit:
                break
        return letters

    async def replayed(self, log_position: LogPosition, by: LogPosition) -> None:
        """Mark a dead letter; see `ports.dead_letters.DeadLetters`."""
        await self._session.run(_REPLAYED, (datetime.now(UTC), by, b"", *log_position))

    async def _add(self, letter: DeadLetter) -> None:
        headers = encode_headers(letter.headers)
        size = len(letter.key) + len(letter.value) + len(headers or b"")
        if size > BYTES_MAX:
            # Cassandra would close the connection, or refuse it in words of its own.
            raise NotAccepted(f"a dead letter of {size} bytes is too large to be kept")
        # A letter depends on its record alone: two routers that add it at once differ only in the
        # time, so that keeping the first one needs no transaction.
        if not await self._session.run(_IS_THERE, letter.log_position):
            position, now = letter.log_position, datetime.now(UTC)
            values = (*position, letter.cause, letter.key, letter.value, now)
            if headers is None:  # an inserted null would be a tombstone (EXACTNESS 5)
                await self._session.run(_PUT, values)
            else:
                await self._session.run(_PUT_WITH_HEADERS, (*values, headers))


def _letter(row: Row) -> DeadLetter:
    epoch, partition, offset, cause, key, value, put_aside, replayed, by, headers = row
    return DeadLetter(
        LogPosition(epoch, partition, offset),
        cause,
        key,
        value,
        put_aside,
        replayed,
        None if by is None else LogPosition(*by),
        decode_headers(headers),
    )
