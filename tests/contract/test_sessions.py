"""What every Sessions does."""

import time

import pytest

from chat4all.adapters.sql import SqlDirectory
from chat4all.domain.errors import AlreadyTaken, NotFound
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from chat4all.ports import Sessions
from tests.contract.test_directory import ANA, user
from tests.databases import Place

pytestmark = pytest.mark.anyio

SOON = int(time.time()) + 3_600


def session(name: str, expires_at: int = SOON) -> Session:
    return Session(SessionId(name), Username(ANA), expires_at)


@pytest.fixture(autouse=True)
async def _ana(place: Place) -> None:
    await SqlDirectory(place.database).add_user(user(ANA), b"")


async def test_a_session_is_there_until_it_is_ended(sessions: Sessions) -> None:
    one, two = session("one"), session("two")
    assert await sessions.get(one.session_id) is None
    await sessions.start(one)
    await sessions.start(two)
    assert await sessions.get(one.session_id) == one
    await sessions.end(one.session_id)
    assert await sessions.get(one.session_id) is None
    assert await sessions.get(two.session_id) == two
    await sessions.end(one.session_id)


async def test_a_session_is_started_once_and_by_a_user(sessions: Sessions) -> None:
    one = session("one")
    await sessions.start(one)
    with pytest.raises(AlreadyTaken):
        await sessions.start(one)
    with pytest.raises(NotFound):
        await sessions.start(Session(SessionId("two"), Username("nobody"), SOON))
    assert await sessions.get(one.session_id) == one
    assert await sessions.get(SessionId("two")) is None


async def test_expired_sessions_are_swept(sessions: Sessions) -> None:
    old = session("old", expires_at=1)
    await sessions.start(old)
    await sessions.start(session("new"))
    assert await sessions.get(SessionId("new")) is not None
    # Asked for the first time only now, so that nothing was remembered.
    assert await sessions.get(old.session_id) is None
