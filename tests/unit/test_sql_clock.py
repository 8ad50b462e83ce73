"""The databases' clock, in milliseconds."""

import sqlite3
from contextlib import closing

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import dialect

from chat4all.adapters.sql.outbox import Now
from chat4all.domain.times import format_milliseconds

SOME_DAY = 1_796_000_000_000


def test_a_millisecond_is_not_read_as_the_one_before() -> None:
    """Fails when two who join a millisecond apart are noted at the same time."""
    statement = str(select(Now()).compile(dialect=dialect()))
    assert "'now'" in statement
    with closing(sqlite3.connect(":memory:")) as db:
        times = range(SOME_DAY, SOME_DAY + 1_000)
        read = [
            db.execute(statement.replace("'now'", f"'{format_milliseconds(time)}'")).fetchone()[0]
            for time in times
        ]
    assert read == [*times]
