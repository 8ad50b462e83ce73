"""The accidents of the rules of changes, each constructed on purpose (docs/exactness.md)."""

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from chat4all.domain.changes import EMOJIS
from chat4all.domain.events import MessageChanged
from chat4all.ports.store import Target, TargetKey
from chat4all.router import loop
from tests.faults import mutants
from tests.faults.machine import STEPS, AnyStore, Machine, StagedStore, Steps, machine
from tests.records import CHATS, deletion, edit, reaction, record

pytestmark = pytest.mark.anyio

Place = Path | None
CHAT = CHATS[0]


@pytest.fixture(params=["sqlite", "last write wins"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where the store is: its constraints refuse what contradicts it, or nothing does."""
    return tmp_path if request.param == "sqlite" else None


async def append_a_bit_of_all(m: Machine) -> None:
    """Messages and every kind of change among them, valid, repeated and invalid ones."""
    own = str(uuid.uuid4())
    await m.append(
        record("first"),
        record("of another", sender="ana"),
        edit("second", change_id=own),
        edit("not there yet", seq=3),
        record("third", message_id=own),
        reaction(EMOJIS[0], author="ana"),
        reaction(EMOJIS[0]),
        edit("another's", seq=2),
        edit("second again", change_id=own),
        deletion(2, as_admin=True),
        edit("too late", seq=2, author="ana"),
        reaction(EMOJIS[1], seq=2),
        edit("of the third", seq=3, change_id=own, author="bruno"),
        reaction(EMOJIS[0], author="ana", given=False),
        edit("in the other", chat=CHATS[1]),
        record("in the other", chat=CHATS[1]),
        deletion(chat=CHATS[1], author="ana"),
    )


CAUSES = {
    4: "it changes a message that is not there",
    8: "its author may not change this message",
    15: "it changes a message that is not there",
    17: "its author may not change this message",
}


async def causes(m: Machine) -> Mapping[int, str]:
    return {letter.log_position.offset: letter.cause for letter in await m.store.all(100)}


@pytest.mark.parametrize("poll_max", [1, 3, 500])
async def test_verdicts_do_not_depend_on_where_a_poll_ends(place: Place, poll_max: int) -> None:
    async with machine(place) as m:
        m.poll_max = poll_max
        await append_a_bit_of_all(m)
        await m.route()
        assert await causes(m) == CAUSES
        await m.check()
        # All of it again, in other polls: against rows that are all there now.
        m.poll_max, m.committed = 4, 0
        await m.route()
        assert await causes(m) == CAUSES
        await m.check()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_stop_after_any_step_loses_and_repeats_no_change(
    place: Place, step: str, times: int
) -> None:
    async with machine(place) as m:
        m.poll_max = 500 if times == 1 else 4
        await append_a_bit_of_all(m)
        await m.route(stop_after=step, times=times)
        await m.route(stop_after=step, times=1)
        await m.route()
        assert await causes(m) == CAUSES
        await m.check()


async def test_a_late_retry_of_an_edit_undoes_no_newer_one(place: Place) -> None:
    own = str(uuid.uuid4())
    async with machine(place) as m:
        await m.append(record("first"), edit("early", change_id=own), edit("newer"))
        await m.route()
        await m.append(edit("early", change_id=own))
        await m.route()
        assert await m.rows(CHAT) == [(*(await m.rows(CHAT))[0][:2], "newer")]
        assert (await m.store.position(CHAT)).change == 2
        await m.check()


async def test_a_valid_change_without_effect_takes_a_number(place: Place) -> None:
    async with machine(place) as m:
        await m.append(
            record("first"),
            deletion(),
            deletion(),
            reaction(EMOJIS[0], given=False),
            edit("gone"),
        )
        await m.route()
        assert (await m.store.position(CHAT)).change == 4
        await m.check()


async def test_a_change_of_a_message_that_came_later_is_never_made(place: Place) -> None:
    """At first the row is not there; when the record is read again, it is, at a later position."""
    async with machine(place) as m:
        await m.append(edit("early"), record("first"))
        await m.route()
        m.committed = 0
        await m.route()
        assert await causes(m) == {1: "it changes a message that is not there"}
        await m.check()


async def test_an_unreadable_sender_is_no_ground_for_a_verdict(place: Place) -> None:
    class Partly(StagedStore):
        """Reads of a row no more than a read repaired."""

        def __init__(self, store: AnyStore, steps: Steps) -> None:
            super().__init__(store, steps)
            self.targets = self.only_in_part

        async def only_in_part(self, keys: Sequence[TargetKey]) -> Mapping[TargetKey, Target]:
            found = await self._store.targets(keys)
            return {key: target._replace(sender_id=None) for key, target in found.items()}

    async with machine(place) as m:
        await m.append(record("first"))
        await m.route()
        await m.append(edit("second"))
        await m.route(store=Partly)
        assert (await causes(m), m.committed) == ({}, 1)  # it stopped, and put nothing aside
        await m.route()
        await m.check()


async def test_a_change_row_of_another_stops_the_partition(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("first"), edit("second"), edit("third"))
        await m.route()
        m.committed = 1
        m.alter = lambda r: (
            r._replace(value=edit("an intruder")) if r.log_position.offset == 2 else r
        )
        router = m.router()
        await router.run()
        assert m.committed == 1
        m.alter = lambda r: r
        await m.route()
        await m.check()


async def test_a_change_may_have_the_id_of_its_message(place: Place) -> None:
    own = str(uuid.uuid4())
    async with machine(place) as m:
        await m.append(record("first", message_id=own), edit("second", change_id=own))
        await m.route()
        assert [content for *_, content in await m.rows(CHAT)] == ["second"]
        await m.check()


async def test_the_same_change_is_announced_again_with_its_number(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("first"), edit("second"))
        await m.route()
        m.committed = 1
        await m.route()
        heard = [event for event in m.heard if isinstance(event, MessageChanged)]
        assert heard == [MessageChanged(CHAT, 1, 1)] * 2


async def test_nothing_of_a_deleted_message_is_left_in_the_file(tmp_path: Path) -> None:
    secret = ["wallaby", "quokka", "numbat"]
    async with machine(tmp_path) as m:
        await m.append(
            record(f"{secret[0]} " * 1_000), edit(secret[1]), edit(f"{secret[2]} " * 1_000)
        )
        await m.append(*[record(f"another {n}") for n in range(50)])
        await m.route()
        await m.append(deletion())
        await m.route()
        m.committed = 0  # and nothing comes back with a replay
        await m.route()
        await m.check()
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        columns = [row for name in tables for row in db.execute(f'SELECT * FROM "{name}"')]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert "another 49" in str(columns)
    for word in secret:
        assert word not in str(columns)
        assert word.encode() not in path.read_bytes()


# Mutants.


async def test_mutant_an_edit_that_keeps_the_text_it_finds(place: Place) -> None:
    async with machine(place) as m:
        kept: dict[object, dict[int, str]] = {}

        class Mutant(mutants.KeepsWhatItFinds):
            def __init__(self, store: AnyStore, steps: Steps) -> None:
                super().__init__(store, steps)
                self.kept = kept  # type: ignore[assignment]

        await m.append(record("first"), edit("second"))
        await m.route(stop_after="changes", store=Mutant)
        found = dict(kept[CHAT, 1])
        await m.route(store=Mutant)
        # The replay finds its own text, and the first one is gone.
        assert (found, kept[CHAT, 1]) == ({1: "first"}, {1: "second"})
        await m.check()  # as it is stored, nothing is


async def test_mutant_a_head_whose_numbers_share_a_guard(place: Place) -> None:
    async with machine(place) as m:
        await m.append(record("first"))
        await m.route(store=mutants.SharedGuard)
        await m.append(edit("second"))
        await m.route(store=mutants.SharedGuard)
        with pytest.raises(AssertionError):
            await m.check()


async def test_mutant_two_polls_of_changes_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Numbering", mutants.NumbersFromTheFirstHead)
    async with machine(place) as m:
        m.poll_max = 1
        await m.append(record("first"), edit("second"), edit("third"))
        await m.route()
        with pytest.raises(AssertionError):
            await m.check()


async def test_mutant_a_change_before_its_message(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Numbering", mutants.AnnouncesChangesFirst)
    async with machine(place) as m:
        await m.append(record("first"), edit("second"))
        await m.route()
        with pytest.raises(AssertionError, match="before its message"):
            await m.check()
