"""A database that sorts as a language does lists the same users in the same order as any other."""

from pathlib import Path

import asyncpg
import pytest

from chat4all.adapters.sql import sql_people
from chat4all.adapters.sql.urls import ServerUrl
from chat4all.domain.ids import Username
from chat4all.domain.listing import LISTED_MEMBERS_MAX
from chat4all.domain.people import UserSearch
from chat4all.usecases.profiles import Profiles
from tests.contract.test_directory import group, user
from tests.databases import Databases, place_at

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.engines]

# English sorts `_` and `-` before digits and letters; their bytes are between and before them.
NAMES = sorted(f"a{mark}{number:02}" for mark in "_-0a" for number in range(30))
UNUSED = None


async def listed(where: Path | ServerUrl) -> list[object]:
    """Return the pages of users, of a caller's contacts, and the first members of a group."""
    async with place_at(where) as place:
        people = sql_people(place.database)
        for name in NAMES:
            await people.users.add_user(user(Username(name)), b"")
        viewer, others = Username(NAMES[-1]), map(Username, NAMES[:-2])
        made = (await people.directory.add_conversation(group(viewer, *others))).conversation_id
        found: list[object] = []
        for search in (UserSearch.EVERYBODY, UserSearch.CONTACTS):
            profiles = Profiles(people.users, UNUSED, UNUSED, UNUSED, search)  # type: ignore[arg-type]
            seen, after = [], ""
            while True:
                page, following = await profiles.find(viewer, "a", 7, after)
                seen += [one.username for one in page]
                if following is None:
                    break
                after = following
            found.append(seen)
        details = await people.memberships.details([made], viewer)
        return [*found, list(details[made].members)]


async def test_what_is_listed_does_not_depend_on_the_locale(
    databases: Databases, tmp_path: Path
) -> None:
    in_english = databases.sorted_as("en-US")
    connection = await asyncpg.connect(in_english.dsn)
    assert await connection.fetchval("SELECT 'a_' < 'a0'"), "not the order of English"
    await connection.close()
    everybody, contacts, members = await listed(in_english)
    assert everybody == NAMES
    assert contacts == [name for name in NAMES if name != NAMES[-2]]
    assert members == [*NAMES[:LISTED_MEMBERS_MAX]]
    assert [everybody, contacts, members] == await listed(tmp_path / "metadata.db")
