"""What only the SQL adapter of users and conversations knows."""

from pathlib import Path

import pytest

from chat4all.adapters.sql import SqlDirectory, SqlUsers
from chat4all.adapters.sql import directory as sql_directory
from chat4all.domain.errors import Conflict
from chat4all.domain.people import Role
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
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
