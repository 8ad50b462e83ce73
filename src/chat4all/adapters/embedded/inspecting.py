"""Reading the files of a data folder or a backup from outside, without changing them."""

from dataclasses import dataclass
from pathlib import Path

from chat4all.adapters.embedded import log
from chat4all.adapters.embedded.consumer import pair_trouble
from chat4all.adapters.embedded.store.schema import SCHEMA
from chat4all.adapters.sqlite_files import read_only

NEWEST = {"log.db": len(log.SCHEMA), "store.db": len(SCHEMA)}
"""The version of each file that this release writes; it reads all from 1 on."""

ATTEMPTS = 5
"""How often a pair in use is read before it is reported as broken."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a log and a store tell about whether they belong together.

    `first` is the log's lowest offset still there, or the next to come; `end` its highest ever;
    `newest_ms` when its last record was appended. The store was filled from the log `followed` up
    to `offset`.
    """

    log_id: str
    first: int
    end: int
    newest_ms: int | None
    followed: str
    offset: int

    @property
    def trouble(self) -> str | None:
        """What is wrong with them, in a sentence."""
        return pair_trouble(self.log_id, self.first, self.end, self.followed, self.offset)


def look_at_pair(folder: Path, *, in_use: bool = True) -> Pair:
    """Return how log.db and store.db relate; `sqlite3.Error` when unreadable.

    The store is read first: it may advance meanwhile, and must not seem to be ahead of the log. The
    log may also be trimmed meanwhile, up to where the store is by then; so a pair that seems broken
    is read again.
    """
    for _ in range(ATTEMPTS if in_use else 1):
        with read_only(folder / "store.db", in_use=in_use) as db:
            row = db.execute('SELECT log_id, "offset" FROM followed_log').fetchone()
        with read_only(folder / "log.db", in_use=in_use) as db:
            db.execute("BEGIN")
            (log_id,) = db.execute("SELECT log_id FROM info").fetchone() or ("",)
            first, end = log.first_offset(db), log.last_offset(db)
            (newest,) = db.execute(
                'SELECT (SELECT appended_ms FROM records ORDER BY "offset" DESC LIMIT 1)'
            ).fetchone()
        followed, offset = row or (log_id, 0)  # a store that follows none yet takes this one
        pair = Pair(log_id, first, end, newest, followed, offset)
        if pair.trouble is None:
            break
    return pair
