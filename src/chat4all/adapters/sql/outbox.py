"""The outbox: what changed, written in the transaction that changed it."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from chat4all.adapters.sql.tables import outbox
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import OutcomeUnknown, Refused, Unavailable
from chat4all.ports.outbox import OutboxEntry, OutboxPage, Subject

OVERLAP_SECONDS = 15
"""Entries are read again for so long: a transaction may begin before a poll and end after it.

The longest one takes 12 s (`adapters.sql.server.LONGEST_SECONDS`); the rest covers the clocks of
CockroachDB's nodes, which stop when they are more than 0.5 s apart.
"""

KEPT_SECONDS = 3600
"""How long entries are kept: a reader that was away longer must drop its cache."""

ENTRIES_MAX = 10_000
"""On a page. With more it is cheaper to drop the whole cache."""

TRIM_MAX = 1_000


class Now(FunctionElement[int]):
    """The database's clock at the beginning of the transaction, in milliseconds since 1970.

    Not a process's clock: the clocks of two processes may differ.
    """

    type = BigInteger()
    inherit_cache = True
    name = "now_in_milliseconds"


@compiles(Now)
def _on_a_server(_element: Now, _compiler: Any, **_: Any) -> str:
    return "CAST(extract(epoch FROM now()) * 1000 AS BIGINT)"


@compiles(Now, "sqlite")
def _on_sqlite(_element: Now, _compiler: Any, **_: Any) -> str:
    # Days in a double are exact to 0.05 ms: cut off, a millisecond may be the one before.
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


_NOTE = insert(outbox).values(at=Now())
_IS_NOTED = select(outbox.c.entry_id).where(outbox.c.entry_id == bindparam("entry"))
_NOW = select(Now())
_AFTER = (
    select(outbox.c.entry_id, outbox.c.subject, outbox.c.key)
    .where(outbox.c.at > bindparam("after"))
    .order_by(outbox.c.at)
    .limit(ENTRIES_MAX + 1)
)
_TRIM = delete(outbox).where(
    outbox.c.entry_id.in_(
        select(outbox.c.entry_id)
        .where(outbox.c.at < Now() - bindparam("kept", type_=BigInteger))
        .limit(TRIM_MAX)
    )
)
# Noted while the clock was ahead. A page without them would miss what was noted after the last poll
# before the clock was set right, or committed after the first one since: so they get the time that
# it is, are read once more by everybody, and then no more.
_SET_RIGHT = (
    update(outbox)
    .where(
        outbox.c.entry_id.in_(
            select(outbox.c.entry_id)
            .where(outbox.c.at > Now() + OVERLAP_SECONDS * 1000)
            .limit(TRIM_MAX)
        )
    )
    .values(at=Now())
)


def now_ms(connection: Connection) -> int:
    """Return the database's time, in milliseconds since 1970."""
    return int(connection.execute(_NOW).scalar_one())


class Note(NamedTuple):
    """A change of the subject with this key."""

    subject: Subject
    key: str


async def write_noting(
    database: Transactions, work: Callable[[Connection], Sequence[Note]]
) -> None:
    """Run `work` and write an entry for each note that it returns, in one transaction.

    The first entry is also the transaction's receipt. When `work` violates a key, or refuses, only
    because the same transaction ran before and was committed as its connection was lost, the
    entry exists and the call succeeds. So `IntegrityError`, or a refusal, means that nothing was
    done.
    """
    receipt = str(uuid.uuid4())

    def run(connection: Connection) -> None:
        noted = work(connection)
        ids = [receipt, *(str(uuid.uuid4()) for _ in noted[1:])]
        if noted:
            connection.execute(
                _NOTE,
                [
                    {"entry_id": entry_id, "subject": note.subject.value, "key": note.key}
                    for entry_id, note in zip(ids, noted, strict=True)
                ],
            )

    def is_noted(connection: Connection) -> bool:
        return connection.execute(_IS_NOTED, {"entry": receipt}).first() is not None

    try:
        await database.write(run)
    except (IntegrityError, Refused):
        try:
            noted = await database.read(is_noted)
        except Unavailable as error:
            raise OutcomeUnknown(str(error), error.public) from error
        if not noted:
            raise


class SqlOutbox:
    """The ports of `ports.outbox`. A position is a time by the database's clock."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def after(self, position: int | None) -> OutboxPage:
        """Return what changed after a position; see `ports.outbox.Outbox`."""

        def read(connection: Connection) -> OutboxPage:
            now = now_ms(connection)
            if position is None:
                return OutboxPage(now, (), complete=False)
            oldest = position - OVERLAP_SECONDS * 1000
            # Later than now: a server whose clock is behind has taken over.
            if position > now or oldest < now - KEPT_SECONDS * 1000:
                return OutboxPage(now, (), complete=False)
            rows = connection.execute(_AFTER, {"after": oldest}).all()
            if len(rows) > ENTRIES_MAX:
                return OutboxPage(now, (), complete=False)
            entries = [OutboxEntry(entry, Subject(subject), key) for entry, subject, key in rows]
            return OutboxPage(now, entries, complete=True)

        return await self._database.read(read)

    async def trim(self) -> int:
        """Drop entries that are too old; see `ports.outbox.OutboxTrimming`.

        Those of a clock that was ahead are as old as now, and count as well.
        """
        kept = {"kept": KEPT_SECONDS * 1000}

        def trim(connection: Connection) -> int:
            set_right = connection.execute(_SET_RIGHT).rowcount
            return set_right + connection.execute(_TRIM, kept).rowcount

        return await self._database.write(trim)
