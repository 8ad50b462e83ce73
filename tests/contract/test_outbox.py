"""The contract of `ports.outbox`."""

from collections.abc import Sequence

import pytest
from sqlalchemy import update

from chat4all.adapters.sql import SqlDirectory, SqlSessions, SqlUsers
from chat4all.adapters.sql import outbox as sql_outbox
from chat4all.adapters.sql.tables import outbox as outbox_table
from chat4all.domain.errors import AlreadyTaken, NotFound
from chat4all.domain.ids import Username
from chat4all.domain.people import Role, UserChanges
from chat4all.ports.outbox import OutboxPage, Subject
from tests.contract.ports import KeptOutbox
from tests.contract.test_directory import ANA, BRUNO, group, private, user
from tests.contract.test_sessions import refreshed, session
from tests.databases import Place

pytestmark = pytest.mark.anyio


@pytest.fixture(
    params=[
        "sqlite",
        *[
            pytest.param(dialect, marks=[pytest.mark.slow, pytest.mark.engines])
            for dialect in ("postgresql", "cockroachdb")
        ],
    ]
)
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param, "asked"


def found(page: OutboxPage) -> Sequence[tuple[Subject, str]]:
    assert page.complete
    return [(entry.subject, entry.key) for entry in page.entries]


async def beginning(outbox: KeptOutbox) -> int:
    page = await outbox.after(None)
    assert not page.entries
    return page.position


async def test_every_change_is_there_once(outbox: KeptOutbox, place: Place) -> None:
    users, directory = SqlUsers(place.database), SqlDirectory(place.database)
    sessions = SqlSessions(place.database)
    position = await beginning(outbox)
    assert found(await outbox.after(position)) == []
    await users.add_user(user(ANA), b"")
    await users.add_user(user(BRUNO), b"")
    chat = await directory.add_conversation(group(ANA))
    await directory.add_member(chat.conversation_id, BRUNO, Role.MEMBER)
    pair = await directory.add_conversation(private(ANA, BRUNO))
    again = await directory.add_conversation(private(BRUNO, ANA))
    assert again == pair
    await sessions.start(session("one"), refreshed())
    await sessions.end(session("one").session_id)
    await directory.change_role(chat.conversation_id, BRUNO, Role.ADMIN)
    await directory.remove_member(chat.conversation_id, BRUNO)
    for name in ("two", "three"):
        await sessions.start(session(name), refreshed())
    await users.change_user(ANA, UserChanges(password_hash=b"x"), session("two").session_id)
    await users.disable_user(ANA)
    await users.erase_user(ANA)
    page = await outbox.after(position)
    assert sorted(found(page)) == sorted(
        [
            *[(Subject.MEMBERS, chat.conversation_id)] * 3,  # two changes, and she is gone
            (Subject.MEMBERS, pair.conversation_id),
            *[(Subject.SESSION, name) for name in ("two", "three")] * 2,  # each began and ended
            *[(Subject.USER, ANA)] * 2,
            (Subject.ALIAS, ANA),
            (Subject.USER, ANA),
            (Subject.USER, BRUNO),
            (Subject.MEMBERS, chat.conversation_id),
            (Subject.MEMBERS, chat.conversation_id),
            (Subject.MEMBERS, pair.conversation_id),
            (Subject.SESSION, "one"),
            (Subject.SESSION, "one"),
        ]
    )
    assert len({entry.entry_id for entry in page.entries}) == len(page.entries)
    assert page.position >= position


async def test_what_was_refused_is_no_change(outbox: KeptOutbox, place: Place) -> None:
    users, directory = SqlUsers(place.database), SqlDirectory(place.database)
    await users.add_user(user(ANA), b"")
    before = found(await outbox.after(await beginning(outbox)))
    with pytest.raises(AlreadyTaken):
        await users.add_user(user(ANA), b"")
    with pytest.raises(NotFound):
        await directory.add_conversation(group(ANA, Username("nobody")))
    assert found(await outbox.after(await beginning(outbox))) == before


async def test_entries_are_read_again_for_a_while_and_then_no_more(
    outbox: KeptOutbox, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await SqlUsers(place.database).add_user(user(ANA), b"")
    later = await beginning(outbox)
    assert found(await outbox.after(later)) == [(Subject.USER, ANA)]
    monkeypatch.setattr(sql_outbox, "OVERLAP_SECONDS", -1)
    assert found(await outbox.after(later)) == []


async def test_who_was_away_for_too_long_begins_anew(
    outbox: KeptOutbox, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = await beginning(outbox)
    await SqlUsers(place.database).add_user(user(ANA), b"")
    assert (await outbox.after(position)).complete
    long_ago = position - sql_outbox.KEPT_SECONDS * 1000
    assert not (await outbox.after(long_ago)).complete
    # The clock of a server that has taken over may be behind.
    assert not (await outbox.after(position + 60_000)).complete
    monkeypatch.setattr(sql_outbox, "ENTRIES_MAX", 0)
    assert not (await outbox.after(position)).complete


async def test_old_entries_are_dropped(
    outbox: KeptOutbox, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = await beginning(outbox)
    for n in range(3):
        await SqlUsers(place.database).add_user(user(Username(f"user{n}")), b"")
    assert await outbox.trim() == 0
    assert len(found(await outbox.after(position))) == 3
    monkeypatch.setattr(sql_outbox, "KEPT_SECONDS", -1)
    assert await outbox.trim() == 3
    assert await outbox.trim() == 0
    monkeypatch.undo()
    assert found(await outbox.after(position)) == []


async def test_what_was_noted_while_the_clock_was_ahead(outbox: KeptOutbox, place: Place) -> None:
    """It is told, however late it was committed, and is on no more pages than others.

    Fails when a page ends at the present, and when nothing ends what is read again.
    """
    position = await beginning(outbox)
    users = [Username(f"user{n}") for n in range(2)]
    for name in users:
        await SqlUsers(place.database).add_user(user(name), b"")
    await later(place, 60 * 60 * 1_000)
    told = [(Subject.USER, name) for name in users]
    page = await outbox.after(position)
    assert sorted(found(page)) == told
    assert await outbox.trim() == 2
    assert await outbox.trim() == 0
    again = await outbox.after(page.position)
    assert {*again.entries} == {*page.entries}
    await later(place, -20 * 1_000)
    assert found(await outbox.after(again.position)) == []


async def later(place: Place, ms: int) -> None:
    """Make the times of all entries later."""
    await place.database.write(
        lambda connection: (
            connection.execute(update(outbox_table).values(at=outbox_table.c.at + ms)).rowcount
        )
    )
