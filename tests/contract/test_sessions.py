"""The contract of `ports.sessions`."""

import asyncio
import time
from dataclasses import replace

import pytest

from chat4all.adapters.sql import SqlUsers
from chat4all.domain.errors import AlreadyTaken, NotFound, NotSignedIn
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session, UserChanges
from chat4all.domain.refresh_tokens import (
    RefreshHashes,
    new_refresh_token,
    next_refresh_token,
    refresh_hashes,
)
from chat4all.ports.sessions import Sessions
from tests.contract.test_directory import ANA, BRUNO, user
from tests.databases import Place

pytestmark = pytest.mark.anyio

SOON = int(time.time()) + 3_600


def session(name: str, expires_at: int = SOON) -> Session:
    return Session(SessionId(name), Username(ANA), expires_at)


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
    second, third = next_refresh_token(first), next_refresh_token(first)
    await sessions.start(session("one"), refreshed(first))
    now = int(time.time())
    for spent, following in ((first, second), (second, third)):
        found = await sessions.rotate(refreshed(spent), refreshed(following).token, now, SOON + 60)
        assert found.session is not None
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
        tokens.append(next_refresh_token(tokens[0]))
        await sessions.rotate(refreshed(tokens[-2]), refreshed(tokens[-1]).token, now, SOON)
    assert await sessions.get(SessionId("one")) is not None
    again = next_refresh_token(tokens[0])
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


async def test_of_two_who_spend_a_token_at_once_one_goes_on(sessions: Sessions) -> None:
    """The other one may be a thief: the session ends."""
    token = new_refresh_token()
    await sessions.start(session("one"), refreshed(token))
    now = int(time.time())

    async def spend() -> bool:
        new = refreshed(next_refresh_token(token)).token
        return (await sessions.rotate(refreshed(token), new, now, SOON)).session is not None

    assert (await asyncio.gather(*[spend() for _ in range(20)])).count(True) == 1
    assert SessionId("one") not in [s.session_id for s in await sessions.of_user(ANA)]


async def test_an_expired_session_is_not_refreshed(sessions: Sessions) -> None:
    token = new_refresh_token()
    await sessions.start(session("old", expires_at=1), refreshed(token))
    new = refreshed(next_refresh_token(token)).token
    found = await sessions.rotate(refreshed(token), new, int(time.time()), SOON)
    assert (found.session, found.ended) == (None, None)


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
