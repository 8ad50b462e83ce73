"""Generations of a store: on Cassandra a row that `chat4all migrate` makes, else the folder's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.cassandra import CassandraGeneration
from chat4all.adapters.embedded.folder import FolderGeneration, begin_generation
from chat4all.domain.errors import Unavailable
from tests.clocks import Clock

pytestmark = pytest.mark.anyio


class Session:
    """Answers with one row, or none."""

    def __init__(self) -> None:
        self.rows: list[tuple[str]] = []
        self.asked = 0

    async def run(self, _: str) -> list[tuple[str]]:
        self.asked += 1
        return self.rows


async def test_a_keyspace_without_a_generation_is_no_store_yet() -> None:
    session: Any = Session()
    generation = CassandraGeneration(session)
    with pytest.raises(Unavailable, match="chat4all migrate"):
        await generation.current()
    session.rows = [("one",)]
    assert (await generation.current(), generation.first) == ("one", None)


async def test_a_keyspace_that_was_made_anew_is_noticed_within_half_a_minute() -> None:
    session: Any = Session()
    clock = Clock()
    generation = CassandraGeneration(session, clock=clock)
    session.rows = [("one",)]
    assert [await generation.current() for _ in range(3)] == ["one"] * 3
    assert session.asked == 1
    session.rows = [("two",)]
    clock.now += 30
    assert await generation.current() == "two"


async def test_all_who_wait_share_one_question_and_an_outage_changes_nothing() -> None:
    session: Any = Session()
    clock = Clock()
    generation = CassandraGeneration(session, clock=clock)
    session.rows = [("one",)]
    assert {*await asyncio.gather(*[generation.current() for _ in range(100)])} == {"one"}
    assert session.asked == 1
    session.rows = []  # it does not answer as it did
    clock.now += 30
    assert {*await asyncio.gather(*[generation.current() for _ in range(100)])} == {"one"}
    assert session.asked == 2
    session.rows = [("two",)]
    clock.now += 2.9
    assert await generation.current() == "one"
    assert session.asked == 2
    clock.now += 0.1
    assert await generation.current() == "two"


async def test_a_folder_has_its_own_once_it_was_restored(tmp_path: Path) -> None:
    first = FolderGeneration(tmp_path, "installation")
    assert (await first.current(), first.first) == ("installation", "installation")
    begin_generation(tmp_path)
    restored = FolderGeneration(tmp_path, "installation")
    assert restored.first == "installation"
    assert len(await restored.current()) == 36
