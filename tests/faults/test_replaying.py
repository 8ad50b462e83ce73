"""A dead letter takes no number and delays nobody; its replay is stored once (EXACTNESS 1)."""

import uuid
from pathlib import Path

import pytest
import uuid_utils

from chat4all.adapters.embedded import EmbeddedLog, EmbeddedStore
from chat4all.domain.errors import CommandRefused, OutcomeUnknown
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.records import DeadLetter, Headers
from chat4all.usecases.replaying import Replaying
from tests.faults.machine import Machine, Stop, machine
from tests.folders import POISON
from tests.records import CHATS, record

pytestmark = pytest.mark.anyio


async def contents(m: Machine) -> list[str]:
    return [content for _, _, content in await m.rows(CHATS[0])]


async def a_letter_between(m: Machine) -> DeadLetter:
    await m.append(record("before"), POISON, record("after"))
    await m.route()
    assert await contents(m) == ["before", "after"]
    (letter,) = await m.store.all(10)
    return letter


async def test_a_corrected_replay_gets_the_next_number_and_is_there_once(tmp_path: Path) -> None:
    async with machine(tmp_path) as m:
        letter = await a_letter_between(m)
        corrected = record("corrected")
        replaying = Replaying(m.log, m.store)
        assert await replaying.replay(letter, corrected) == LogPosition(0, 0, 4)
        await m.route()
        assert await contents(m) == ["before", "after", "corrected"]
        marked = await m.store.get(letter.log_position)
        assert marked is not None
        assert marked.replayed_by == LogPosition(0, 0, 4)
        assert (marked.value, marked.cause) == (b"", letter.cause)
        with pytest.raises(CommandRefused, match="was replayed as 4"):
            await replaying.replay(marked, corrected)
        with pytest.raises(CommandRefused, match="are not kept since it was replayed"):
            await replaying.replay(marked, again=True)
        await replaying.replay(marked, corrected, again=True)
        await m.append(record("later"))
        await m.route()
        assert await contents(m) == ["before", "after", "corrected", "later"]
        await m.check()


@pytest.mark.parametrize("routed_between", [True, False])
async def test_a_replay_that_was_cut_off_before_its_mark_is_done_again(
    tmp_path: Path, routed_between: bool
) -> None:
    class DiesBeforeTheMark(EmbeddedStore):
        async def replayed(self, log_position: LogPosition, by: LogPosition) -> None:
            raise Stop

    async with machine(tmp_path) as m:
        letter = await a_letter_between(m)
        corrected = record("corrected")
        dying = DiesBeforeTheMark(tmp_path / "store.db")
        with pytest.raises(Stop):
            await Replaying(m.log, dying).replay(letter, corrected)
        await dying.close()
        if routed_between:
            await m.route()
        unmarked = await m.store.get(letter.log_position)
        assert unmarked is not None
        assert unmarked.replayed_by is None
        await Replaying(m.log, m.store).replay(unmarked, corrected)
        await m.route()
        assert await contents(m) == ["before", "after", "corrected"]
        await m.check()


async def test_a_replay_that_the_log_did_not_take_is_not_marked(tmp_path: Path) -> None:
    class Full(EmbeddedLog):
        async def append(
            self, key: ConversationId, value: bytes, headers: Headers = ()
        ) -> LogPosition:
            raise OutcomeUnknown("log.db: database or disk is full")

    async with machine(tmp_path) as m:
        letter = await a_letter_between(m)
        with pytest.raises(OutcomeUnknown):
            await Replaying(Full(tmp_path / "log.db"), m.store).replay(letter, record("corrected"))
        assert await m.store.get(letter.log_position) == letter


async def test_original_bytes_that_can_be_processed_now_are_replayed_as_they_are(
    tmp_path: Path,
) -> None:
    """As after an update that understands what an older release put aside."""
    async with machine(tmp_path) as m:
        original = record("put aside by mistake", unknown_field=["kept", 1])
        letter = DeadLetter(LogPosition(0, 0, 1), "a mistake", b"k", original)
        await m.store.add([letter])
        await Replaying(m.log, m.store).replay(letter)
        (appended,) = await m.log.read(0, 10)
        assert appended.value == original
        assert appended.key.decode() == CHATS[0]


async def test_a_replay_has_the_headers_of_the_original(tmp_path: Path) -> None:
    trace = (("traceparent", b"00-1"),)
    async with machine(tmp_path) as m:
        await m.log.append(ConversationId(CHATS[0]), POISON, trace)
        await m.route()
        (letter,) = await m.store.all(10)
        assert letter.headers == trace

        await Replaying(m.log, m.store).replay(letter, record("corrected"))
        (appended,) = await m.log.read(letter.log_position.offset, 10)
        assert appended.headers == trace


@pytest.mark.parametrize("value", [POISON, b"\xff", b"[" * 5000, record("later", v=3)])
async def test_what_would_be_put_aside_again_or_stop_the_router_is_not_appended(
    tmp_path: Path, value: bytes
) -> None:
    async with machine(tmp_path) as m:
        letter = DeadLetter(LogPosition(0, 0, 1), "x", b"", value)
        for given in (None, value):
            with pytest.raises(CommandRefused):
                await Replaying(m.log, m.store).replay(letter, given)
        assert await m.log.end() == 0


async def test_an_id_that_seems_just_made_is_not_replayed_yet(tmp_path: Path) -> None:
    """The router would not look it up: two replays of it within a second would be two messages."""
    async with machine(tmp_path) as m:
        made = str(uuid_utils.uuid7())
        time_of_id = int(made[:8] + made[9:13], 16)
        fresh = DeadLetter(LogPosition(0, 0, 1), "x", b"", record("x", message_id=made, fresh=True))
        own = DeadLetter(LogPosition(0, 0, 2), "x", b"", record("y", message_id=str(uuid.uuid4())))
        for now in (time_of_id - 5_000, time_of_id, time_of_id + 1_000):
            replaying = Replaying(m.log, m.store, now_ms=lambda n=now: n)  # type: ignore[misc]
            with pytest.raises(CommandRefused, match="try again later"):
                await replaying.replay(fresh)
            await replaying.replay(own)
        replaying = Replaying(m.log, m.store, now_ms=lambda: time_of_id + 1_001)
        await replaying.replay(fresh)
        assert await m.log.end() == 4
