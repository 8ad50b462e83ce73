"""Delivered markers in the log: one record for many members (EXACTNESS 14)."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from chat4all.domain.ids import Username
from tests.faults.machine import machine
from tests.records import CHATS, record

pytestmark = pytest.mark.anyio

Place = Path | None


@pytest.fixture(params=["sqlite", "last write wins"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return tmp_path if request.param == "sqlite" else None


async def test_what_members_have_received_is_one_record(place: Place) -> None:
    def delivered(version: int, **seqs: int) -> bytes:
        fields = {"type": "delivered_markers", "v": version, "chat_id": CHATS[0]}
        return json.dumps({**fields, "delivered": seqs}).encode()

    async with machine(place) as m:
        await m.append(record("a"), record("b"), delivered(2, ana=2, carla=1), delivered(2, ana=1))
        await m.append(record("c", sender="carla"), delivered(1, ana=3), delivered(2, ana=0))
        await m.route()
        assert [letter.cause for letter in await m.store.all(10)] == [
            "unknown type",
            "Expected `int` >= 1 - at `$.delivered[...]`",
        ]
        receipts = await m.store.receipts(CHATS[0])
        seen = {name: (one.delivered_seq, one.read_seq) for name, one in receipts.items()}
        assert seen == {"ana": (2, 0), "bruno": (2, 2), "carla": (3, 3)}
        assert receipts[Username("ana")].read_ms is None
        read = {"type": "read_marker", "username": "ana", "read_seq": 1, "delivered_seq": 1}
        read["chat_id"] = CHATS[0]
        await m.append(json.dumps(read).encode(), delivered(2, ana=3))
        await m.route()
        ana = (await m.store.receipts(CHATS[0]))[Username("ana")]
        assert (ana.delivered_seq, ana.read_seq) == (3, 1)
        assert ana.read_ms is not None


async def test_reading_does_not_change_when_it_was_received(place: Place) -> None:
    def marker(kind: str, **of: object) -> bytes:
        return json.dumps({"type": kind, "chat_id": CHATS[0], **of}).encode()

    def read(seq: int) -> bytes:
        return marker("read_marker", username="ana", read_seq=seq, delivered_seq=seq)

    received = marker("delivered_markers", v=2, delivered={"ana": 1})
    async with machine(place) as m:
        await m.append(record("a"), record("b"), received)
        await m.route()
        before = (await m.store.receipts(CHATS[0]))[Username("ana")]
        assert before.delivered_ms is not None
        async with asyncio.timeout(30):
            while time.time() * 1_000 < before.delivered_ms + 2:
                await asyncio.sleep(0.001)
        await m.append(read(1))
        await m.route()
        after = (await m.store.receipts(CHATS[0]))[Username("ana")]
        assert (after.delivered_seq, after.read_seq) == (1, 1)
        assert after.delivered_ms == before.delivered_ms
        assert after.read_ms is not None
        assert after.read_ms > before.delivered_ms
        # What was read and never said to be received was received then.
        await m.append(read(2))
        await m.route()
        last = (await m.store.receipts(CHATS[0]))[Username("ana")]
        assert (last.delivered_seq, last.read_seq) == (2, 2)
        assert last.delivered_ms == last.read_ms
