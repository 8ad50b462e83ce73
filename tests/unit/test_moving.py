"""A record in a wrong partition is appended again with its headers."""

from pathlib import Path

import pytest

from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import Headers, MessageRecord
from chat4all.wire.records import decode_record
from tests.faults.machine import machine
from tests.records import CHATS, record

pytestmark = pytest.mark.anyio

TRACE = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]


class _Partitions:
    """A log of which the machine's is partition 0."""

    def __init__(self) -> None:
        self.appended: list[tuple[ConversationId, bytes, Headers]] = []

    def partition_of(self, conversation: ConversationId) -> int:
        return CHATS.index(conversation)

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        self.appended.append((key, value, headers))
        return LogPosition(0, self.partition_of(key), len(self.appended))

    def makes_fresh_ids(self) -> bool:
        return True

    async def ping(self) -> None:
        """It is there."""


async def test_a_moved_record_keeps_its_headers(tmp_path: Path) -> None:
    async with machine(tmp_path) as m:
        m.partitioned = partitions = _Partitions()
        await m.log.append(CHATS[0], record("traced", chat=CHATS[1]), TRACE)
        await m.log.append(CHATS[0], record("here"), TRACE)
        await m.log.append(CHATS[0], record("untraced", chat=CHATS[2]))
        await m.route()
    moved = [
        (key, decode_record(value), list(headers)) for key, value, headers in partitions.appended
    ]
    assert [(key, headers) for key, _, headers in moved] == [(CHATS[1], TRACE), (CHATS[2], [])]
    assert all(isinstance(found, MessageRecord) and found.moved for _, found, _ in moved)
