"""The contract of `ports.sessions`."""

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from chat4all.adapters.sql import SqlSessions, SqlUsers, tables
from chat4all.adapters.sql import sessions as sql_sessions
from chat4all.adapters.sql.sessions import SWEEP_EVERY_SECONDS
from chat4all.domain.errors import AlreadyTaken, NotFound, NotSignedIn, Unavailable
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session, UserChanges
from chat4all.domain.refresh_tokens import (
    RefreshHashes,
    new_refresh_token,
    next_refresh_token,
    refresh_hashes,
)
from chat4all.ports.sessions import Rotation, Sessions
from tests.clocks import Clock
from tests.contract.test_directory import ANA, BRUNO, user
from tests.databases import Place

pytestmark = pytest.mark.anyio

SOON = int(time.time()) + 3_600


def session(name: str, expires_at: int = SOON) -> Session:
    return Session(SessionId(name), Username(ANA), expires_at)


KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def following(token: str, key: bytes = KEY) -> str:
    return next_refresh_token(token, key)


def refreshed(token: str = "") -> RefreshHashes:
    """Return what is kept of a refresh token, of a new family unless one is given."""
    found = refresh_hashes(token or new_refresh_token())
    assert found is not None
    return found


@pytest.fixture(autouse=True)
async def _ana(place: Place) -> None:
    await SqlUsers(place.database).add_user(user(ANA), b"")


async def test_a_session_is_there_until_it_is_ended(sessions: Sessions) -> None:
    one, two = session("one"), session("two")
    assert await sessions.get(one.session_id) is None
    await sessions.start(one, refreshed())
    await sessions.start(two, refreshed())
    assert await sessions.get(one.session_id) == one
    await sessions.end(one.session_id)
    assert await sessions.get(one.session_id) is None
    assert await sessions.get(two.session_id) == two
    await sessions.end(one.session_id)


async def test_of_several_sessions_those_are_found_that_there_are(sessions: Sessions) -> None:
    one, two, ended, old = (session(name) for name in ("one", "two", "ended", "old"))
    old = replace(old, expires_at=1)
    for new in (one, two, ended, old):
        await sessions.start(new, refreshed())
    await sessions.end(ended.session_id)
    asked = [SessionId(name) for name in ("one", "ended", "two", "old", "never", "one")]
    assert await sessions.get_each(asked) == {"one": one, "two": two}
    await sessions.end(two.session_id)
    assert await sessions.get_each(asked) == {"one": one}
    assert await sessions.get_each(asked[1:2]) == {}


async def test_a_session_is_started_once_and_by_a_user(sessions: Sessions) -> None:
    one = session("one")
    await sessions.start(one, refreshed())
    with pytest.raises(AlreadyTaken):
        await sessions.start(one, refreshed())
    with pytest.raises(NotSignedIn):
        await sessions.start(Session(SessionId("two"), Username("nobody"), SOON), refreshed())
    assert await sessions.get(one.session_id) == one
    assert await sessions.get(SessionId("two")) is None


async def test_expired_sessions_are_swept(sessions: Sessions) -> None:
    old = session("old", expires_at=1)
    await sessions.start(old, refreshed())
    await sessions.start(session("new"), refreshed())
    assert await sessions.get(SessionId("new")) is not None
    # Asked for the first time only now, so that nothing was cached.
    assert await sessions.get(old.session_id) is None


async def test_a_token_is_spent_once_and_its_session_goes_on(sessions: Sessions) -> None:
    first = new_refresh_token()
    second = following(first)
    third = following(second)
    await sessions.start(session("one"), refreshed(first))
    now = int(time.time())
    for spent, last in ((first, second), (second, third)):
        found = await sessions.rotate(refreshed(spent), refreshed(last).token, now, SOON + 60)
        assert found.session is not None
        assert found.token == refreshed(last).token
        assert (found.session.session_id, found.ended) == ("one", None)
        assert (found.session.used_at, found.session.expires_at) == (now, SOON + 60)
        assert await sessions.get(SessionId("one")) == found.session


@pytest.mark.parametrize("which", [0, 1])
async def test_a_token_that_comes_again_ends_its_session(sessions: Sessions, which: int) -> None:
    """Whichever of those before the last, and of this family alone."""
    tokens = [new_refresh_token()]
    await sessions.start(session("one"), refreshed(tokens[0]))
    await sessions.start(session("other"), refreshed())
    now = int(time.time())
    for _ in range(2):
        tokens.append(following(tokens[-1]))
        await sessions.rotate(refreshed(tokens[-2]), refreshed(tokens[-1]).token, now, SOON)
    assert await sessions.get(SessionId("one")) is not None
    # Under another key: by their own the last but one may come again.
    again = following(tokens[which], OTHER_KEY)
    found = await sessions.rotate(refreshed(tokens[which]), refreshed(again).token, now, SOON)
    assert (found.session, found.ended) == (None, "one")
    assert await sessions.get(SessionId("one")) is None
    for token in (*tokens, again):
        found = await sessions.rotate(refreshed(token), refreshed(again).token, now, SOON)
        assert (found.session, found.ended) == (None, None)
    assert await sessions.get(SessionId("other")) is not None


async def test_an_unknown_token_ends_nothing(sessions: Sessions) -> None:
    await sessions.start(session("one"), refreshed())
    unknown = new_refresh_token()
    now = int(time.time())
    found = await sessions.rotate(refreshed(unknown), refreshed().token, now, SOON)
    assert (found.session, found.ended) == (None, None)
    assert await sessions.get(SessionId("one")) is not None


async def test_of_many_who_spend_a_token_at_once_all_get_the_same(sessions: Sessions) -> None:
    token = new_refresh_token()
    await sessions.start(session("one"), refreshed(token))
    now = int(time.time())

    new = refreshed(following(token)).token

    async def spend() -> Rotation:
        return await sessions.rotate(refreshed(token), new, now, SOON)

    found = await asyncio.gather(*[spend() for _ in range(20)])
    assert {(one.token, one.ended) for one in found} == {(new, None)}
    assert {one.session.session_id for one in found if one.session is not None} == {"one"}
    assert await sessions.get(SessionId("one")) is not None


async def test_a_successor_may_have_been_made_under_another_key(sessions: Sessions) -> None:
    """While keys change, processes sign with different ones."""
    token = new_refresh_token()
    made, ours = (refreshed(following(token, key)).token for key in (OTHER_KEY, KEY))
    await sessions.start(session("one"), refreshed(token))
    now = int(time.time())
    await sessions.rotate(refreshed(token), made, now, SOON, [ours])
    again = await sessions.rotate(refreshed(token), ours, now, SOON, [made])
    assert (again.token, again.ended) == (made, None)
    assert again.session is not None
    # A key that is not accepted any more: nobody can say that it was the successor.
    found = await sessions.rotate(refreshed(token), ours, now, SOON)
    assert (found.session, found.ended) == (None, "one")


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (25, True), (-25, True), (31, False)])
async def test_a_spent_token_may_come_again_for_30_s_by_the_databases_clock(
    sessions: Sessions, place: Place, seconds: int, good: bool
) -> None:
    token = new_refresh_token()
    new = refreshed(following(token)).token
    await sessions.start(session("one"), refreshed(token))
    # Whatever this process takes the time to be.
    await sessions.rotate(refreshed(token), new, int(time.time()) - 1_000, SOON)
    await place.database.write(
        lambda connection: connection.exec_driver_sql(
            f"UPDATE sessions SET refreshed_at = refreshed_at - {seconds * 1_000}"
        )
    )
    found = await sessions.rotate(refreshed(token), new, int(time.time()), SOON)
    assert (found.session is not None, found.ended) == (good, None if good else "one")


async def test_once_the_successor_is_used_nothing_comes_again(sessions: Sessions) -> None:
    tokens = [new_refresh_token()]
    for _ in range(3):
        tokens.append(following(tokens[-1]))
    hashes = [refreshed(token) for token in tokens]
    await sessions.start(session("one"), hashes[0])
    now = int(time.time())
    for number in (0, 0, 1, 1):
        found = await sessions.rotate(hashes[number], hashes[number + 1].token, now, SOON)
        assert found.session is not None
    found = await sessions.rotate(hashes[0], hashes[1].token, now, SOON)
    assert (found.session, found.ended) == (None, "one")
    found = await sessions.rotate(hashes[2], hashes[3].token, now, SOON)
    assert (found.session, found.ended) == (None, None)


async def test_an_expired_session_is_not_refreshed(sessions: Sessions) -> None:
    token = new_refresh_token()
    await sessions.start(session("old", expires_at=1), refreshed(token))
    new = refreshed(following(token)).token
    found = await sessions.rotate(refreshed(token), new, int(time.time()), SOON)
    assert (found.session, found.ended) == (None, None)


async def test_a_session_that_seems_expired_for_a_moment_goes_on_afterwards(
    sessions: Sessions,
) -> None:
    """Fails when a device is told that its token is not good, and forgets it."""
    token = new_refresh_token()
    new = refreshed(following(token)).token
    await sessions.start(session("one"), refreshed(token))
    with pytest.raises(Unavailable, match="the clock has jumped"):
        await sessions.rotate(refreshed(token), new, SOON + 86_400, SOON + 90_000)
    found = await sessions.rotate(refreshed(token), new, int(time.time()), SOON)
    assert found.session is not None
    assert found.session.session_id == "one"


async def test_a_user_has_sessions_the_last_used_one_first(sessions: Sessions) -> None:
    for name, used_at in (("a", 10), ("b", 30), ("c", 20)):
        one = replace(session(name), created_at=5, used_at=used_at, device=f"device {name}")
        await sessions.start(one, refreshed())
    await sessions.start(session("old", expires_at=1), refreshed())
    found = await sessions.of_user(ANA)
    assert [(one.session_id, one.device) for one in found] == [
        ("b", "device b"),
        ("c", "device c"),
        ("a", "device a"),
    ]
    assert {one.created_at for one in found} == {5}
    assert await sessions.of_user(Username("nobody")) == []


async def test_a_session_is_ended_by_its_own_user(sessions: Sessions, place: Place) -> None:
    await SqlUsers(place.database).add_user(user(BRUNO), b"")
    await sessions.start(session("one"), refreshed())
    for name, whose in (("one", BRUNO), ("none", ANA)):
        with pytest.raises(NotFound, match="no such session"):
            await sessions.end(SessionId(name), whose)
    assert await sessions.get(SessionId("one")) is not None
    await sessions.end(SessionId("one"), ANA)
    assert await sessions.get(SessionId("one")) is None


async def test_a_password_that_was_changed_meanwhile_starts_no_session(
    sessions: Sessions, place: Place
) -> None:
    users = SqlUsers(place.database)
    await sessions.start(session("one"), refreshed(), b"")
    await users.change_user(ANA, UserChanges(password_hash=b"another"))
    with pytest.raises(NotSignedIn):
        await sessions.start(session("two"), refreshed(), b"")
    await users.disable_user(ANA)
    with pytest.raises(NotSignedIn):
        await sessions.start(session("three"), refreshed(), b"another")
    assert await sessions.of_user(ANA) == []
    await users.disable_user(ANA, disabled=False)
    await sessions.start(session("four"), refreshed(), b"another")


async def test_a_clock_that_is_ahead_sweeps_no_session_away(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = SqlSessions(place.database)
    kept = session("kept")
    await sessions.start(kept, refreshed())
    old = session("old", int(time.time()) - 1)
    await sessions.start(old, refreshed())
    monotonic = Clock(time.monotonic())

    async def start(ahead: float) -> None:
        monotonic.now += SWEEP_EVERY_SECONDS
        clock = SimpleNamespace(time=Clock(time.time() + ahead), monotonic=monotonic)
        monkeypatch.setattr(sql_sessions, "time", clock)
        await sessions.start(session(f"by {monotonic.now}"), refreshed())
        monkeypatch.undo()

    await start(40 * 86_400)
    assert await sessions.get(kept.session_id) == kept
    assert await count(place) == 3
    await start(0)
    assert await count(place) == 4
    # And one that goes on as it did sweeps.
    await SqlSessions(place.database).start(session("another"), refreshed())
    assert await count(place) == 4
    assert await sessions.get(kept.session_id) == kept


async def count(place: Place) -> int:
    return await place.database.read(
        lambda connection: int(
            connection.execute(select(func.count()).select_from(tables.sessions)).scalar_one()
        )
    )
