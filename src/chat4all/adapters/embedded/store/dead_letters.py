"""Records that could not be processed, in `store.db`."""

import time
from collections.abc import Sequence
from typing import Any

from chat4all.adapters.embedded.store.part import Part
from chat4all.domain.ids import BEFORE_ALL, LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.wire.records import decode_headers, encode_headers

_COLUMNS = (
    "log_epoch, log_partition, log_offset, cause, key, value, "
    "put_aside_ms, replayed_ms, replayed_epoch, replayed_partition, replayed_offset, headers"
)
_ADD = """
INSERT INTO dead_letters
    (log_epoch, log_partition, log_offset, cause, key, value, put_aside_ms, headers)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_AT = "WHERE (log_epoch, log_partition, log_offset) = (?, ?, ?)"
_GET = f"SELECT {_COLUMNS} FROM dead_letters {_AT}"
_ABOVE = f"""
SELECT {_COLUMNS} FROM dead_letters WHERE (log_epoch, log_partition, log_offset) > (?, ?, ?)
ORDER BY log_epoch, log_partition, log_offset LIMIT ?
"""
_REPLAYED = f"""
UPDATE dead_letters SET (replayed_ms, replayed_epoch, replayed_partition, replayed_offset, value)
    = (?, ?, ?, ?, x'') {_AT}
"""


class DeadLetterTable(Part):
    """The ports of `ports.dead_letters`, for the router and for operators."""

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; see `ports.dead_letters.DeadLetterSink`."""
        now = _now_ms()
        rows = [
            (*x.log_position, x.cause, x.key, x.value, now, encode_headers(x.headers))
            for x in letters
        ]
        await self._database.write(lambda db: db.executemany(_ADD, rows))

    async def get(self, log_position: LogPosition) -> DeadLetter | None:
        """Return one dead letter; see `ports.dead_letters.DeadLetters`."""
        row = await self._database.read(lambda db: db.execute(_GET, log_position).fetchone())
        return None if row is None else _letter(row)

    async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
        """Return dead letters; see `ports.dead_letters.DeadLetters`."""
        rows = await self._database.read(lambda db: db.execute(_ABOVE, (*after, limit)).fetchall())
        return [_letter(row) for row in rows]

    async def replayed(self, log_position: LogPosition, by: LogPosition) -> None:
        """Mark a dead letter; see `ports.dead_letters.DeadLetters`."""
        values = (_now_ms(), *by, *log_position)
        await self._database.write(lambda db: db.execute(_REPLAYED, values))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _letter(row: Sequence[Any]) -> DeadLetter:
    epoch, partition, offset, cause, key, value, put_aside_ms, replayed_ms, *by, headers = row
    return DeadLetter(
        LogPosition(epoch, partition, offset),
        cause,
        key,
        value,
        put_aside_ms,
        replayed_ms,
        None if replayed_ms is None else LogPosition(*by),
        decode_headers(headers),
    )
