"""What an export reads of the message store: all of it, in pages that hold nothing up."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.domain.ids import Username
from chat4all.operations import written
from chat4all.operations.written import Fields, InFolder
from tests.folders import make_folder
from tests.records import CHATS

pytestmark = pytest.mark.anyio

ANA = Username("ana")
MANY = 7
"""More than two pages of three."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(written, "PAGE", 3)
    folder = make_folder(tmp_path / "data")
    chats = sorted(CHATS)[:2]
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as db:
        for table in ("messages", "reactions", "read_markers"):
            fill(db, table, chats)
    return folder


def fill(db: sqlite3.Connection, table: str, chats: Sequence[str]) -> None:
    """Add rows of ana and of another, with a value in each column that must have one."""
    columns = [row[1:6] for row in db.execute(f"PRAGMA table_info({table})")]
    for chat in chats if table != "read_markers" else map(str, range(MANY)):
        for seq in range(1, MANY + 1):
            known = {
                "conversation_id": chat,
                "seq": seq,
                "username": "ana" if seq % 7 else "bruno",
                "sender_id": "ana" if seq % 7 else "bruno",
                "emoji": "x",
                "given": 1,
                "created_at": "2026-01-01T00:00:00.000Z",
            }
            row = {
                name: known.get(name, 0 if kind == "INTEGER" else "")
                for name, kind, required, _, key in columns
                if required or key or name in known
            }
            marks = ", ".join(f":{name}" for name in row)
            names = ", ".join(f'"{name}"' for name in row)
            db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row)


def parts(store: InFolder) -> dict[str, AsyncIterator[Fields]]:
    return {
        "messages": store.messages(ANA, []),
        "reactions": store.reactions(ANA, []),
        "markers": store.markers(ANA, []),
    }


async def test_every_row_is_there_once_and_in_order(data: Path) -> None:
    for name, rows in parts(InFolder(data)).items():
        found = [(row["conversation_id"], row.get("seq", 0)) async for row in rows]
        assert len(found) == (MANY if name == "markers" else 2 * (MANY - 1)), name
        assert found == sorted({*found}), name


@pytest.mark.parametrize("name", ["messages", "reactions", "markers"])
async def test_a_slow_reader_does_not_keep_the_write_ahead_log(data: Path, name: str) -> None:
    """Fails while a SELECT is open: `chat4all users export ana | less` would fill the disk."""
    with closing(sqlite3.connect(data / "store.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE noise (number INTEGER)")
        rows = parts(InFolder(data))[name]
        await anext(rows)
        db.execute("INSERT INTO noise VALUES (1)")
        blocked, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not blocked
        assert (data / "store.db-wal").stat().st_size == 0
        assert [row async for row in rows]
