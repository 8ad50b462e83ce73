"""Behaviour that only the SQL adapters of users and conversations have."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.sql import SqlDirectory, SqlOutbox, SqlSessions, SqlUsers
from chat4all.adapters.sql import directory as sql_directory
from chat4all.adapters.sql import sessions as sql_sessions
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import AlreadyTaken, Conflict, OutcomeUnknown, Unavailable
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import ConversationChanges, Role, UserChanges
from chat4all.ports.outbox import Subject
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_sessions import refreshed, session
from tests.databases import place_at

pytestmark = pytest.mark.anyio


async def test_a_full_group_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_directory, "MEMBERS_MAX", 2)
    async with place_at(tmp_path / "metadata.db") as place:
        users, directory = SqlUsers(place.database), SqlDirectory(place.database)
        for name in (ANA, BRUNO, CARLA):
            await users.add_user(user(name), b"")
        chat = (await directory.add_conversation(group(ANA))).conversation_id
        await directory.add_member(chat, BRUNO, Role.MEMBER, ANA)
        with pytest.raises(Conflict, match="full"):
            await directory.add_member(chat, CARLA, Role.MEMBER, ANA)
        assert CARLA not in await directory.members(chat)


async def test_of_too_many_sessions_the_one_not_used_for_longest_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_sessions, "SESSIONS_MAX", 3)
    async with place_at(tmp_path / "metadata.db") as place:
        await SqlUsers(place.database).add_user(user(ANA), b"")
        sessions, outbox = SqlSessions(place.database), SqlOutbox(place.database)
        for number, used_at in enumerate((30, 10, 20, 40, 50)):
            await sessions.start(replace(session(f"s{number}"), used_at=used_at), refreshed())
        assert [one.session_id for one in await sessions.of_user(ANA)] == ["s4", "s3", "s0"]
        assert await sessions.get(SessionId("s1")) is None
        page = await outbox.after((await outbox.after(None)).position)
        noted = [entry.key for entry in page.entries if entry.subject is Subject.SESSION]
        assert sorted(noted) == ["s0", "s1", "s1", "s2", "s2", "s3", "s4"]


class Asked:
    """A database that notes about which names it was asked, and knows nobody."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def read(self, work: Callable[[Any], Any]) -> object:
        return work(self)

    def execute(self, _: object, values: dict[str, list[str]]) -> Any:
        self.names += values["names"]
        return self

    def all(self) -> list[object]:
        return []


class Unreadable:
    """A database that is written to and cannot be read any more."""

    def __init__(self, database: Transactions) -> None:
        self.write = database.write

    async def read(self, work: object) -> None:
        raise Unavailable("the connection was lost")


async def test_a_refusal_that_may_be_the_answer_to_a_second_attempt_is_of_unknown_outcome(
    tmp_path: Path,
) -> None:
    """Whether an earlier attempt of the same write was committed can be read only."""
    async with place_at(tmp_path / "metadata.db") as place:
        users = SqlUsers(place.database)
        await users.add_user(user(ANA), b"")
        with pytest.raises(AlreadyTaken):
            await users.add_user(user(ANA), b"")
        with pytest.raises(OutcomeUnknown):
            await SqlUsers(Unreadable(place.database)).add_user(user(ANA), b"")  # type: ignore[arg-type]


async def test_what_was_changed_is_told_without_reading_again(tmp_path: Path) -> None:
    """Or else a change that was made would be answered 503 when the second read fails."""
    async with place_at(tmp_path / "metadata.db") as place:
        database: Any = Unreadable(place.database)
        users, directory = SqlUsers(place.database), SqlDirectory(place.database)
        await users.add_user(user(ANA), b"")
        chat = await directory.add_conversation(group(ANA))
        changed = await SqlDirectory(database).change_conversation(
            chat.conversation_id, ConversationChanges("Another"), ANA
        )
        assert changed == replace(chat, title="Another")
        named = await SqlUsers(database).change_user(ANA, UserChanges(display_name="Ana B"))
        assert named == replace(user(ANA), display_name="Ana B")


async def test_the_database_is_not_asked_about_names_that_nobody_can_have() -> None:
    """A server refuses the whole question for one U+0000 in it."""
    asked: Any = Asked()
    users = SqlUsers(asked)
    assert await users.aliases([Username("\0"), ANA, Username("a\0na")]) == {}
    assert asked.names == [ANA]
    assert await users.aliases([Username("\0")]) == {}
