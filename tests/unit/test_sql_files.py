"""Behaviour that only the SQL adapters of files have."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, event

from chat4all.adapters.sql import SqlFiles, SqlUsers, sql_people
from chat4all.adapters.sql.own_files import own_files
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import Busy, NotFound
from chat4all.domain.files import (
    TAILS_MAX,
    THUMBNAIL_SIZES,
    FileState,
    Quota,
    StoredFile,
    format_size,
    keys_of,
    tail_key,
    thumbnail_key,
)
from chat4all.domain.own_files import FileOrder, FilePlace
from tests.attached import PICTURE
from tests.contract.test_directory import ANA, BRUNO, group, user
from tests.contract.test_files_known import detach, use_of
from tests.contract.test_uploads import FACTS, FREE, new_upload, progress_of, whole
from tests.databases import place_at

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Again:
    """A database that loses each answer to a commit, so that everything written runs again."""

    def __init__(self, database: Transactions) -> None:
        self.read = database.read
        self._database = database

    async def write(self, work: Callable[[Connection], T]) -> T:
        await self._database.write(work)
        return await self._database.write(work)


async def test_what_was_committed_already_is_done_once(tmp_path: Path) -> None:
    async with place_at(tmp_path / "metadata.db") as place:
        await SqlUsers(place.database).add_user(user(ANA), b"")
        people = sql_people(Again(place.database))
        uploads, files = people.uploads, people.files
        new = new_upload(size=10)
        await uploads.create(new, Quota(of_user=10, uploads_of_user=1))
        for fence in (1, 2):
            taken = await uploads.take(new.file_id, ANA, force=fence > 1)
            assert taken.fence == fence  # its own lease is nobody else's
        with pytest.raises(Busy):
            await uploads.take(new.file_id, ANA, force=False)
        await uploads.advance(new.file_id, 2, progress_of(10))
        assert [*(await uploads.find(new.file_id, ANA)).progress.parts] == [*progress_of(10).parts]
        made = await uploads.finish(new.file_id, 2, FACTS, FileState.READY)
        assert made.facts == FACTS
        chat = group(ANA)
        await sql_people(place.database).directory.add_conversation(chat)
        use = use_of(new.file_id, chat.conversation_id)
        assert await files.attach(use) == made
        await detach(files, use)
        other = await whole(uploads)
        await uploads.end(other, ANA)
        # What was given to a call whose answer was lost, is given again after a minute.
        assert await files.garbage(10) == []
        await files.forget([new.file_id, other])
        for gone in (new.file_id, other):
            with pytest.raises(NotFound):
                await uploads.end(gone, ANA)
        assert await files.used(ANA) == 0


async def test_an_operator_sees_all_files_of_a_user(tmp_path: Path) -> None:
    async with place_at(tmp_path / "metadata.db") as place:
        people = sql_people(place.database)
        for name in (ANA, BRUNO):
            await people.users.add_user(user(name), b"")
        made = await whole(people.uploads)
        begun = await people.uploads.create(new_upload(), FREE)
        await people.uploads.end(await whole(people.uploads), ANA)
        await whole(people.uploads, BRUNO)
        found = await SqlFiles(place.database).of_owner(ANA)
        assert {one.file_id for one in found} == {made, begun.file_id}
        assert {isinstance(one, StoredFile) for one in found} == {True, False}


async def test_a_page_of_ones_files_costs_the_page(tmp_path: Path) -> None:
    """It is read in the order of an index, and so are the messages that name its files."""
    plans: dict[str, list[str]] = {}

    def explain(connection: Connection) -> None:
        def explained(connection: Connection, _: object, sql: str, *rest: Any) -> None:
            if not sql.startswith("EXPLAIN"):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", rest[0])
                plans[sql] = [row[3] for row in plan]

        event.listen(connection, "before_cursor_execute", explained)
        try:
            for order in FileOrder:
                for after in (None, FilePlace(10**13, PICTURE)):
                    own_files(connection, ANA, order, 50, after)
        finally:
            event.remove(connection, "before_cursor_execute", explained)

    async with place_at(tmp_path / "metadata.db") as place:
        people = sql_people(place.database)
        await people.users.add_user(user(ANA), b"")
        chat = (await people.directory.add_conversation(group(ANA))).conversation_id
        await people.files.attach(use_of(await whole(people.uploads), chat))
        await place.database.read(explain)
    assert len(plans) == 5
    for plan in plans.values():
        assert not [step for step in plan if step.startswith("SCAN files")], plan
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan, plan
    steps = {step for plan in plans.values() for step in plan if step.startswith("SEARCH file")}
    assert steps == {
        "SEARCH files USING INDEX ix_files_owner (owner=?)",
        "SEARCH files USING INDEX ix_files_owner (owner=? AND created_at<?)",
        "SEARCH files USING INDEX ix_files_size (owner=?)",
        "SEARCH files USING INDEX ix_files_size (owner=? AND size<?)",
        "SEARCH file_uses USING INDEX ix_file_uses_file_id (file_id=? AND sender_id=?)",
    }


def test_no_tail_of_an_upload_is_left_behind() -> None:
    thumbnails = tuple(thumbnail_key(PICTURE, size) for size in THUMBNAIL_SIZES)
    assert keys_of(PICTURE, "f/1", 0) == ("f/1", *thumbnails)
    tails = (tail_key("f/1", 1), tail_key("f/1", 2))
    assert keys_of(PICTURE, "f/1", 2) == ("f/1", *tails, *thumbnails)
    many = keys_of(PICTURE, "f/1", 5 * TAILS_MAX)
    assert len(many) == TAILS_MAX + 1 + len(thumbnails)
    assert tail_key("f/1", 5 * TAILS_MAX) in many


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1_023, "1023 bytes"), (1_024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB")],
)
def test_sizes_are_told_as_people_read_them(size: int, text: str) -> None:
    assert format_size(size) == text


async def test_a_list_is_one_query_however_many_files_are_in_use(tmp_path: Path) -> None:
    """Each query more would be compiled, for a quarter of a second, and kept."""
    asked = set[str]()
    count = 45
    async with place_at(tmp_path / "metadata.db") as place:
        people = sql_people(place.database)
        await SqlUsers(place.database).add_user(user(ANA), b"")
        chat = group(ANA)
        await people.directory.add_conversation(chat)
        for _ in range(count):
            await people.files.attach(use_of(await whole(people.uploads), chat.conversation_id))

        def listed(connection: Connection, limit: int) -> int:
            def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
                if "UNION" in statement:
                    asked.add(statement)

            event.listen(connection, "before_cursor_execute", note)
            try:
                found = own_files(connection, ANA, FileOrder.NEWEST, limit, None)
            finally:
                event.remove(connection, "before_cursor_execute", note)
            return sum(len(one.messages) for one in found)

        for limit in (1, 19, 20, 21, count):
            assert await place.database.read(partial(listed, limit=limit)) == limit
    assert len(asked) == 1
