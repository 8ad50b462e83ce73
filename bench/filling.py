"""Data for benchmarks, written directly: people, a log of messages, and a store as routed from it.

The messages are the workload's: the same people, conversations and texts, half with client ids.
"""

import contextlib
import itertools
import os
import random
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import bcrypt
import jwt

from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.records import MarkerRecord, MessageRecord
from chat4all.domain.times import format_milliseconds
from chat4all.wire.records import encode_record

from .workload import CONTENT, CONVERSATIONS, SEED, USERS

PEOPLE = [Username(f"user{n}") for n in range(USERS)]
CHATS = [ConversationId(str(uuid.UUID(int=n + 1))) for n in range(CONVERSATIONS)]
READ = CHATS[:3]
"""The busiest conversations. Everybody has read in them: each of their pages has 100 markers."""

FIRST_MS = 1_767_225_600_000
"""When the first message was sent, in ms since 1970; one a millisecond follows."""

CHUNK = 10_000
SECRET = "b" * 64
"""What signs the tokens."""

TOKEN_SECONDS = 6 * 3600
ROUNDS = 12
"""The cost of a password's hash."""


def fill_people(data: Path) -> list[str]:
    """Put users and conversations into a data folder that was just made; return the users' tokens.

    Everybody is a member of every conversation.
    """
    return fill_directory(data, PEOPLE, dict.fromkeys(CHATS, PEOPLE))


def fill_directory(
    data: Path, names: Sequence[Username], members: Mapping[ConversationId, Sequence[Username]]
) -> list[str]:
    """Put these users and conversations into a data folder; return the users' tokens."""
    (data / "secret-key").write_text(SECRET)
    (data / "secret-key").chmod(0o600)
    directory = directory_of(names, members, SECRET)
    with contextlib.closing(sqlite3.connect(data / "metadata.db")) as db, db:
        for table, columns, rows in directory.tables:
            places = ", ".join("?" * len(columns))
            db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
    return directory.tokens


def set_passwords(data: Path, password: str) -> None:
    """Give every user of a data folder this password."""
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS))
    with contextlib.closing(sqlite3.connect(data / "metadata.db")) as db, db:
        db.execute("UPDATE users SET password_hash = ?", (hashed,))


class Directory(NamedTuple):
    """Users who have signed in, and their conversations."""

    tables: list[tuple[str, Sequence[str], list[tuple[object, ...]]]]
    """Each table's name, columns and rows, in an order in which they can be inserted."""
    tokens: list[str]
    """By user."""


def directory_of(
    names: Sequence[Username],
    members: Mapping[ConversationId, Sequence[Username]],
    secret: str,
) -> Directory:
    """Return what a database must have for these users and conversations."""
    now = int(time.time())
    sessions = {name: str(uuid.uuid4()) for name in names}
    claims = {"iss": "chat4all", "aud": "chat4all", "iat": now, "exp": now + TOKEN_SECONDS}
    return Directory(
        [
            (
                "users",
                ("username", "email", "email_key", "password_hash", "created_at"),
                [(name, name, name, b"\0", "") for name in names],
            ),
            (
                "conversations",
                ("conversation_id", "type", "metadata", "created_at"),
                [(chat, "group", "{}", "") for chat in members],
            ),
            (
                "members",
                ("conversation_id", "username", "role"),
                [(chat, name, "member") for chat, those in members.items() for name in those],
            ),
            (
                "sessions",
                ("session_id", "username", "expires_at"),
                [(sessions[name], name, now + TOKEN_SECONDS) for name in names],
            ),
        ],
        [
            jwt.encode({**claims, "sub": name, "jti": sessions[name]}, secret, "HS256")
            for name in names
        ],
    )


def messages(count: int) -> Iterator[tuple[MessageRecord, int]]:
    """Return messages and the time in ms at which each was appended; the same at every call."""
    chance = random.Random(SEED)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(CHATS) + 1)))
    for number in range(count):
        ms = FIRST_MS + number
        fresh = number % 2 == 0
        record = MessageRecord(
            conversation_id=chance.choices(CHATS, cum_weights=weights)[0],
            message_id=_id(chance, ms if fresh else None),
            sender_id=chance.choice(PEOPLE),
            content=CONTENT,
            created_at=format_milliseconds(ms),
            fresh=fresh,
        )
        yield record, ms


def markers(heads: Mapping[ConversationId, int]) -> list[MarkerRecord]:
    """Return how far everybody has read in the busiest conversations, given their newest numbers.

    Their records follow the last message.
    """
    chance = random.Random(SEED)
    return [
        MarkerRecord(chat, name, seq, seq)
        for chat in READ
        for name in PEOPLE
        for seq in [chance.randint(1, max(1, heads.get(chat, 1)))]
    ]


def fill_log(path: Path, count: int, *, with_markers: bool = True) -> int:
    """Append messages to a log that was just made, and markers; return the last offset."""
    heads: dict[ConversationId, int] = {}

    def records() -> Iterator[tuple[MessageRecord | MarkerRecord, int]]:
        for record, ms in messages(count):
            heads[record.conversation_id] = heads.get(record.conversation_id, 0) + 1
            yield record, ms
        for marker in markers(heads) if with_markers else ():
            yield marker, FIRST_MS + count

    return append(path, records())


def append(path: Path, records: Iterable[tuple[MessageRecord | MarkerRecord, int]]) -> int:
    """Append records, each with its time in ms, to a log; return the last offset."""
    statement = "INSERT INTO records (key, value, appended_ms) VALUES (?, ?, ?)"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.executemany(
            statement,
            ((one.conversation_id, encode_record(one), ms) for one, ms in records),
        )
        (end,) = db.execute('SELECT max("offset") FROM records').fetchone()
    return int(end)


def fill_store(data: Path, count: int) -> dict[ConversationId, int]:
    """Fill the store of a data folder with the rows that the router makes of `fill_log`'s records.

    The log itself is left as after its retention: trimmed, its end known. Returns each
    conversation's newest number. Rows go in as the router writes them, in log order, so that the
    file is laid out as it would be.
    """
    heads: dict[ConversationId, tuple[int, int, int]] = {}
    reached: dict[tuple[ConversationId, Username], tuple[int, int]] = {}
    with contextlib.closing(sqlite3.connect(data / "store.db", isolation_level=None)) as db:
        # Not durable until the end: a fill that is cut off is begun anew.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.execute("BEGIN")
        numbered = enumerate(messages(count), 1)
        while chunk := list(itertools.islice(numbered, CHUNK)):
            rows, ids = [], []
            for offset, (m, ms) in chunk:
                chat = m.conversation_id
                seq = heads[chat][0] + 1 if chat in heads else 1
                heads[chat] = (seq, offset, ms)
                reached[chat, m.sender_id] = (seq, ms)
                place = (0, 0, offset)
                rows.append((chat, seq, m.message_id, m.sender_id, m.content, m.created_at, *place))
                ids.append((chat, m.message_id, m.sender_id, seq, *place))
            db.executemany(
                f"INSERT INTO messages {MESSAGE_COLUMNS} VALUES (?,?,?,?,?,?,?,?,?)", rows
            )
            db.executemany(f"INSERT INTO message_ids {_ID} VALUES (?,?,?,?,?,?,?)", ids)
        newest = {chat: seq for chat, (seq, *_) in heads.items()}
        read = markers(newest)
        read_up_to = dict(reached)
        for marker in read:
            member = (marker.conversation_id, marker.username)
            said = (marker.read_seq, FIRST_MS + count)
            read_up_to[member] = max(read_up_to.get(member, (0, 0)), said)
        # What somebody sent has reached them; that they read it does not say when it did.
        nothing = (0, 0)
        db.executemany(
            f"INSERT INTO read_markers {_MARKER} VALUES (?,?,?,?,?,?)",
            [
                (*member, delivered, seq, delivered_ms, ms)
                for member, (seq, ms) in read_up_to.items()
                for delivered, delivered_ms in (reached.get(member, nothing),)
            ],
        )
        db.executemany(
            f"INSERT INTO conversation_heads {HEAD_COLUMNS} VALUES (?,?,0,0,?,?)",
            [(chat, *head) for chat, head in heads.items()],
        )
        end = count + len(read)
        _follow(db, data / "log.db", end)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
    with (data / "store.db").open("rb+") as file:
        os.fsync(file.fileno())  # or the disk would be busy with it while others are measured
    return newest


MESSAGE_COLUMNS = (
    "(conversation_id, seq, message_id, sender_id, content, created_at, "
    "log_epoch, log_partition, log_offset)"
)
_ID = "(conversation_id, message_id, sender_id, seq, log_epoch, log_partition, log_offset)"
_MARKER = "(conversation_id, username, delivered_seq, read_seq, delivered_ms, read_ms)"
HEAD_COLUMNS = "(conversation_id, seq, log_epoch, log_partition, log_offset, order_ms)"


def _follow(store: sqlite3.Connection, log: Path, end: int) -> None:
    """Say in both files that the store has everything up to the log's end."""
    with contextlib.closing(sqlite3.connect(log)) as db, db:
        (log_id,) = db.execute("SELECT log_id FROM info").fetchone()
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'records'")
        db.execute("INSERT INTO sqlite_sequence VALUES ('records', ?)", (end,))
    store.execute("DELETE FROM followed_log")
    store.execute(
        'INSERT INTO followed_log (only_row, log_id, "offset") VALUES (1, ?, ?)', (log_id, end)
    )


def _id(chance: random.Random, ms: int | None) -> MessageId:
    """Return a UUIDv7 of that time, as the gateway makes it, or a UUIDv4, as clients do."""
    bits = f"{chance.getrandbits(128):032x}"
    bits = f"{bits[:12]}4{bits[13:]}" if ms is None else f"{ms:012x}7{bits[13:]}"
    return MessageId(f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-a{bits[17:20]}-{bits[20:]}")
