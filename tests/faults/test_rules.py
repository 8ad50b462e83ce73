"""The accidents of the rules of exactness, each constructed on purpose (docs/exactness.md)."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import uuid_utils

from chat4all.adapters.embedded import EmbeddedStore
from chat4all.domain.errors import OutcomeUnknown, RouterStopped, Unavailable
from chat4all.domain.events import MessageStored
from chat4all.domain.ids import ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import Head, Marker, StoredMessage
from chat4all.domain.records import Headers, LogRecord
from chat4all.ports.log import Poll
from chat4all.ports.store import IdEntry, IdKey, StoreBatch
from chat4all.usecases import numbering_rules
from chat4all.usecases.routing import Numbering
from tests.faults import mutants
from tests.faults.machine import (
    BUCKET,
    STEPS,
    AnyStore,
    Machine,
    StagedStore,
    Steps,
    machine,
    stamped_late,
)
from tests.records import CHATS, record
from tests.stored import stored

pytestmark = pytest.mark.anyio

Place = Path | None


@pytest.fixture(params=["sqlite", "last write wins"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where the store is: its constraints refuse what contradicts it, or nothing does."""
    return tmp_path if request.param == "sqlite" else None


POISON = b'{"type": "chat_message", "content": "\\ud800"}'


async def append_a_bit_of_all(m: Machine) -> None:
    """Two chats, a retry in the same batch, a poison record, and two senders with one id."""
    own = str(uuid.uuid4())
    await m.append(
        record("a"),
        record("b", message_id=own),
        record("c", chat=CHATS[1]),
        POISON,
        record("b again", message_id=own),
        record("b of another", message_id=own, sender="ana"),
        record("d", chat=CHATS[1].upper()),
    )


# Rule 1: a verdict depends on the record and on earlier rows alone.


async def test_a_poison_record_does_not_take_its_batch_along(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("before"), POISON, record("after"))
        await m.route()
        assert [content for _, _, content in await m.rows(CHATS[0])] == ["before", "after"]
        (letter,) = await m.store.all(10)
        assert (letter.log_position, letter.value) == (LogPosition(0, 0, 2), POISON)
        assert letter.cause
        assert m.committed == 3


class _Away(StagedStore):
    """Fails at the first call of each kind."""

    def __init__(self, store: AnyStore, steps: Steps) -> None:
        super().__init__(store, steps)
        self._failed: set[str] = set()

    def _fail_once(self, what: str) -> None:
        if what not in self._failed:
            self._failed.add(what)
            raise Unavailable("away")

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        self._fail_once("heads")
        return await super().heads(conversations)

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        self._fail_once("ids")
        return await super().find_ids(keys)

    async def write(self, batch: StoreBatch) -> None:
        self._fail_once("write")
        await super().write(batch)


async def test_a_store_that_is_away_is_waited_for_and_makes_no_dead_letter(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("a"), record("b"))
        await m.route(store=_Away)
        await m.check()
        assert await m.store.all(10) == []


async def test_a_record_of_a_later_version_stops_the_router(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("a"), record("from the future", v=3))
        router = m.router()
        await router.run()
        with pytest.raises(Unavailable, match="version 3"):
            await router.ping()
        assert m.committed == 1  # what comes before it is routed
        assert [content for _, _, content in await m.rows(CHATS[0])] == ["a"]
        assert await m.store.all(10) == []


# Rule 2: state belongs to one assignment.


async def _a_partition_that_goes_away_and_comes_back(m: Machine, numbering: Numbering) -> None:
    """A routes 1 and 2, B routes 3 and 4 in A's absence, then A routes 5 and 6."""

    async def route(worker: Numbering, assignment: int) -> None:
        records = await m.log.read(m.committed, 2)
        plan = await worker.plan(Poll(records, {0: assignment}))
        await m.store.write(plan.batch)
        m.heard.extend(plan.events)
        worker.written(plan)
        m.committed = records[-1].log_position.offset

    await m.append(*[record(str(n)) for n in range(6)])
    await route(numbering, 1)
    await route(Numbering(m.store), 1)
    await route(numbering, 2)
    await m.check()


async def test_heads_do_not_outlive_their_assignment(place: Place) -> None:
    async with machine(place) as m:
        await _a_partition_that_goes_away_and_comes_back(m, Numbering(m.store))


async def test_mutant_heads_kept_across_assignments(place: Place) -> None:
    async with machine(place) as m:
        # One store refuses a second message with the number, the other one overwrites the first.
        with pytest.raises((RouterStopped, AssertionError)):
            await _a_partition_that_goes_away_and_comes_back(m, mutants.KeepsHeads(m.store))


# Rules 3, 4 and 7: a stop after any step, and what the next router makes of it.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_stop_after_any_step_changes_nothing(place: Place, step: str, times: int) -> None:
    async with machine(place) as m:
        m.poll_max = 4
        await append_a_bit_of_all(m)
        await m.append(POISON)
        await m.route(stop_after=step, times=times)
        await m.append(record("after the stop"))
        await m.route()
        await m.check()
        assert len(await m.store.all(10)) == 2


@pytest.mark.parametrize("times", [1, 2])
async def test_a_stop_between_two_buckets_of_one_batch(place: Place, times: int) -> None:
    async with machine(place) as m:
        await m.append(*[record(str(n)) for n in range(BUCKET - 2)])
        await m.route()
        await m.append(*[record(f"over the edge {n}") for n in range(5)])
        await m.route(stop_after="messages", times=times)
        await m.route()
        await m.check()


async def test_mutant_second_bucket_first(place: Place) -> None:
    async with machine(place) as m:
        await m.append(*[record(str(n)) for n in range(BUCKET - 2)])
        await m.route()
        await m.append(*[record(f"over the edge {n}") for n in range(5)])
        await m.route(stop_after="messages", store=mutants.SecondBucketFirst)
        await m.route(store=mutants.SecondBucketFirst)
        with pytest.raises(AssertionError):
            await m.check()


async def test_mutant_head_without_the_walk_to_the_last_row(place: Place) -> None:
    async with machine(place) as m:
        await append_a_bit_of_all(m)
        await m.route(stop_after="messages")
        # Rows are there that the head does not tell of. Its own numbers would fit them by luck; a
        # record in between that has become a duplicate would not.
        m.committed = 1
        await m.route(store=mutants.HeadFromHeadTable)
        with pytest.raises(AssertionError):
            await m.check()


async def test_a_replay_makes_all_writes_and_announcements_again(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("a"), record("b"))
        await m.route(stop_after="messages")
        assert m.heard == []
        await m.route()
        await m.check()
        m.committed = 0
        await m.route()
        assert [e.message.seq for e in m.heard if isinstance(e, MessageStored)] == [1, 2, 1, 2]
        await m.check()


async def _reads_other_bytes(m: Machine, offset: int, value: bytes) -> str:
    """Route once more from the start with one record changed; return what stopped the router."""
    m.committed = 0
    m.alter = lambda r: r._replace(value=value) if r.log_position.offset == offset else r
    router = m.router()
    await router.run()
    with pytest.raises(Unavailable) as stopped:
        await router.ping()
    return str(stopped.value)


async def test_a_row_of_another_message_stops_the_router(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("a"), record("b"))
        await m.route()
        why = await _reads_other_bytes(m, 2, record("not b"))
        assert "offset 2" in why
        assert m.committed == 1  # what comes before it is routed again


async def test_a_record_below_the_head_without_a_row_stops_the_router(place: Place) -> None:
    async with machine(place) as m:
        own = str(uuid.uuid4())
        await m.append(record("a", message_id=own), record("b", message_id=own), record("c"))
        await m.route()
        why = await _reads_other_bytes(m, 2, record("never numbered"))
        assert "offset 2" in why
        assert m.committed == 1  # what comes before it is routed again


async def test_a_duplicate_below_the_head_stays_a_duplicate(place: Place) -> None:
    async with machine(place) as m:
        own = str(uuid.uuid4())
        await m.append(record("a", message_id=own), record("b", message_id=own), record("c"))
        await m.route()
        m.committed = 0
        await m.route()
        await m.check()
        assert m.committed == 3


async def test_mutant_commit_before_write(place: Place) -> None:
    async with machine(place) as m:

        def mutant(store: AnyStore, steps: Steps) -> StagedStore:
            return mutants.CommitBeforeWrite(
                store, steps, lambda offset: setattr(m, "committed", offset)
            )

        await append_a_bit_of_all(m)
        await m.route(stop_after="committed early", store=mutant)
        await m.route(store=mutant)
        with pytest.raises(AssertionError):
            await m.check()


async def test_mutant_number_from_memory(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("a"), record("b"))
        await m.route(store=mutants.NumberFromMemory)
        await m.append(record("c"))
        await m.route(store=mutants.NumberFromMemory)
        with pytest.raises(AssertionError):
            await m.check()


async def test_mutant_contents_swapped(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering_rules, "number_messages", mutants.number_and_swap_contents)
    async with machine(place) as m:
        await m.append(record("a"), record("b"))
        await m.route()
        with pytest.raises(AssertionError, match="differs from the log"):
            await m.check()


# Rule 5: a late writer cannot undo a newer state.


async def test_a_late_writer_undoes_nothing(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("a"))
        zombie = await Numbering(m.store).plan(Poll(await m.log.read(0, 10), {0: 1}))
        await m.append(record("b"), record("c"))
        await m.route()
        before = await stored(m.store, CHATS[0], limit=10)
        await m.store.write(zombie.batch)
        assert await stored(m.store, CHATS[0], limit=10) == before


async def test_a_number_is_never_given_to_a_second_message(tmp_path: Path) -> None:
    """On one machine the store refuses it; where the last write wins only the rules above do."""
    async with machine(tmp_path) as m:
        await m.append(record("a"))
        await m.route()
        before = await stored(m.store, CHATS[0], limit=10)
        intruder = StoredMessage(
            CHATS[0], 1, MessageId(str(uuid.uuid4())), Username("x"), "x", "", LogPosition(0, 0, 9)
        )
        with pytest.raises(RouterStopped):
            await m.store.write(StoreBatch(through=(intruder.log_position,), messages=[intruder]))
        assert await stored(m.store, CHATS[0], limit=10) == before
        assert isinstance(m.store, EmbeddedStore)
        assert m.store.committed < 9


# Rule 6: ids.


async def test_the_same_id_again_is_the_same_message_also_after_a_restart(place: Place) -> None:
    async with machine(place) as m:
        own = str(uuid.uuid4())
        await m.append(record("first", message_id=own))
        await m.route()
        await m.append(record("second", message_id=own.upper()))
        await m.route()
        assert [content for _, _, content in await m.rows(CHATS[0])] == ["first"]


async def test_mutant_dedupe_from_memory(place: Place) -> None:
    async with machine(place) as m:
        own = str(uuid.uuid4())
        await m.append(record("first", message_id=own))
        await m.route(store=mutants.DedupeFromMemory)
        await m.append(record("second", message_id=own))
        await m.route(store=mutants.DedupeFromMemory)
        with pytest.raises(AssertionError):
            await m.check()


async def test_an_original_that_lands_after_its_retry_is_the_duplicate(place: Place) -> None:
    """A produce times out, the client retries with the id of the 503, then the original lands."""
    async with machine(place) as m:
        made = str(uuid_utils.uuid7())
        await m.append(record("retry", message_id=made))
        await m.route()
        await m.append(record("original", message_id=made, fresh=True))
        m.alter = stamped_late({2})
        await m.route()
        assert [content for _, _, content in await m.rows(CHATS[0])] == ["retry"]


class _CountsLookUps(StagedStore):
    asked: list[IdKey]

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        type(self).asked.extend(keys)
        return await super().find_ids(keys)


@pytest.mark.parametrize(
    ("more", "change", "looked_up"),
    [
        ({"fresh": True}, {}, False),
        ({}, {}, True),
        ({"fresh": True, "moved": True}, {}, True),
        ({"fresh": True}, {"log_append_time": False}, True),
        ({"fresh": True}, {"late": 1_001}, True),
        ({"fresh": True}, {"late": 1_000}, False),
        ({"fresh": True}, {"late": -1}, True),
    ],
)
async def test_which_ids_are_looked_up(
    place: Place, more: dict[str, Any], change: dict[str, int], looked_up: bool
) -> None:
    async with machine(place) as m:
        made = str(uuid_utils.uuid7())
        time_of_id = int(made[:8] + made[9:13], 16)
        await m.append(record("x", message_id=made, **more))

        def alter(r: LogRecord) -> LogRecord:
            late = change.get("late", 0)
            stamped = bool(change.get("log_append_time", True))
            return r._replace(appended_ms=time_of_id + late, log_append_time=stamped)

        m.alter = alter
        _CountsLookUps.asked = []
        await m.route(store=_CountsLookUps)
        assert bool(_CountsLookUps.asked) is looked_up
        await m.check()


# Rule 14: markers only grow.


async def test_markers_only_grow_and_sending_moves_ones_own(place: Place) -> None:
    def marker(username: str, seq: int) -> bytes:
        return json.dumps(
            {
                "type": "read_marker",
                "chat_id": CHATS[0],
                "username": username,
                "read_seq": seq,
                "delivered_seq": seq,
            }
        ).encode()

    async with machine(place) as m:
        await m.append(record("a"), record("b"), record("c"), marker("ana", 3), marker("ana", 2))
        await m.route()
        assert await m.store.read_seqs(CHATS[0]) == {"bruno": 3, "ana": 3}
        # An older read that arrives in a later batch, and one that is ahead of what is visible.
        await m.append(marker("ana", 1), marker("carla", 7))
        await m.route()
        assert await m.store.read_seqs(CHATS[0]) == {"bruno": 3, "ana": 3, "carla": 3}
        m.committed = 0
        await m.route()
        assert await m.store.read_seqs(CHATS[0]) == {"bruno": 3, "ana": 3, "carla": 3}


async def test_a_message_that_marks_nothing_leaves_its_senders_markers(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("a"), record("b", sender="ana"), record("c", v=2, mark_read=False))
        await m.append(record("d", sender="carla", v=2, mark_read=False))
        # At version 1 it is a field that nobody knows.
        await m.append(record("e", sender="davi", mark_read=False))
        for _ in range(2):
            await m.route()
            assert await m.store.read_seqs(CHATS[0]) == {"bruno": 1, "ana": 2, "davi": 5}
            await m.check()
            m.committed = 0  # replayed, it says the same


async def test_an_older_marker_written_later_changes_nothing(place: Place) -> None:
    async with machine(place) as m:
        await m.append(*[record(str(n)) for n in range(5)])
        await m.route()
        for delivered, read in [(5, 4), (3, 2), (2, 5)]:
            marker = Marker(CHATS[0], Username("ana"), delivered, read)
            await m.store.write(StoreBatch(through=(), markers=[marker]))
        assert (await m.store.read_seqs(CHATS[0]))[Username("ana")] == 5


# Rule 9: a conversation is in one partition.


class _Partitions:
    """A log of which the machine's is partition 0; the first append to another one fails."""

    def __init__(self) -> None:
        self.appended: list[tuple[ConversationId, Any]] = []
        self.away = True

    def partition_of(self, conversation: ConversationId) -> int:
        return CHATS.index(conversation)

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        if self.away:
            self.away = False
            raise OutcomeUnknown("away")
        self.appended.append((key, json.loads(value)))
        return LogPosition(0, self.partition_of(key), len(self.appended))

    def makes_fresh_ids(self) -> bool:
        return True

    async def ping(self) -> None:
        """It is there."""


@pytest.mark.parametrize("step", STEPS)
async def test_a_record_in_a_wrong_partition_is_moved_before_its_offset_is_committed(
    step: str, place: Place
) -> None:
    async with machine(place) as m:
        m.partitioned = partitions = _Partitions()
        elsewhere = record("b", chat=CHATS[1].upper(), kind={"not": "known yet"})
        await m.append(record("a"), elsewhere, POISON, record("c"))
        await m.route(step)
        if m.committed:
            assert partitions.appended
        await m.route()
        wanted = json.loads(elsewhere) | {"moved": True}
        assert {key for key, _ in partitions.appended} == {CHATS[1]}
        assert all(value == wanted for _, value in partitions.appended)
        assert [content for _, _, content in await m.rows(CHATS[0])] == ["a", "c"]
        assert await m.rows(CHATS[1]) == []
