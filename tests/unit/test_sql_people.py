"""Behaviour that only the SQL adapters of users and conversations have."""

from dataclasses import replace
from pathlib import Path

import pytest

from chat4all.adapters.sql import SqlDirectory, SqlOutbox, SqlSessions, SqlUsers
from chat4all.adapters.sql import directory as sql_directory
from chat4all.adapters.sql import sessions as sql_sessions
from chat4all.domain.errors import Conflict
from chat4all.domain.ids import SessionId
from chat4all.domain.people import Role
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
