"""The contract of `ports.creations`, and of the methods that keep what they create."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import pytest

from chat4all.adapters.sql import SqlCreations, SqlTrimming, SqlUsers, creations
from chat4all.adapters.sql.outbox import now_ms
from chat4all.domain.creations import KEPT_SECONDS, CreationKey
from chat4all.domain.errors import AlreadyTaken, NotFound, NotSignedIn
from chat4all.domain.ids import Username
from chat4all.domain.people import Conversation, Role, User
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.people import PeoplePorts
from chat4all.ports.users import AllUsers
from tests.contract.test_directory import ANA, BRUNO, group, private, user
from tests.databases import Place

pytestmark = pytest.mark.anyio


def new_key(scope: Username = ANA) -> CreationKey:
    return CreationKey(scope, str(uuid.uuid4()), b"h" * 32)


async def aged(place: Place, seconds: int) -> None:
    """Make every creation older."""
    await place.database.write(
        lambda connection: connection.exec_driver_sql(
            f"UPDATE creations SET at = at - {seconds * 1_000}"
        )
    )


async def test_what_is_created_is_kept_under_its_key(
    known: PeoplePorts, users: AllUsers, directory: AnsweringDirectory
) -> None:
    keys = [new_key() for _ in range(3)]
    await users.add_user(user(ANA), b"", keys[0])
    await users.add_user(user(BRUNO), b"")
    chat = group(ANA)
    assert await directory.add_conversation(chat, ANA, keys[1]) == chat
    await directory.add_member(chat.conversation_id, BRUNO, Role.MEMBER, ANA, keys[2])
    types: list[object] = [User, Conversation, None]
    for key, shape, expected in zip(keys, types, [user(ANA), chat, None], strict=True):
        found = await known.creations.find(ANA, key.key)
        assert found is not None
        assert found.request_hash == key.request_hash
        created: object = msgspec.json.decode(found.created, type=shape)
        assert created == expected
        assert await known.creations.find(BRUNO, key.key) is None
    assert await known.creations.find(ANA, str(uuid.uuid4())) is None


async def test_what_is_refused_is_not_kept(
    known: PeoplePorts, users: AllUsers, directory: AnsweringDirectory
) -> None:
    key = new_key()
    await users.add_user(user(ANA), b"")
    with pytest.raises(AlreadyTaken):
        await users.add_user(user(ANA), b"", key)
    with pytest.raises(NotFound):
        await directory.add_conversation(group(ANA, Username("nobody")), ANA, key)
    with pytest.raises(NotFound):
        await directory.add_member(group(ANA).conversation_id, BRUNO, Role.MEMBER, ANA, key)
    assert await known.creations.find(ANA, key.key) is None


async def test_a_key_is_used_once(users: AllUsers, directory: AnsweringDirectory) -> None:
    for name in (ANA, BRUNO):
        await users.add_user(user(name), b"")
    key = new_key()
    create: list[Callable[[], Awaitable[object]]] = [
        lambda: directory.add_conversation(group(ANA), ANA, key),
        lambda: directory.add_conversation(private(ANA, BRUNO), ANA, key),
    ]
    found = await asyncio.gather(*[create[n % 2]() for n in range(10)], return_exceptions=True)
    refused = [one for one in found if isinstance(one, AlreadyTaken)]
    # Of a pair the first one is returned, but nothing is created again.
    made = {one.conversation_id for one in found if isinstance(one, Conversation)}
    assert len(made) == 1
    assert len(refused) + len([one for one in found if isinstance(one, Conversation)]) == 10


async def test_a_disabled_caller_creates_nothing(
    users: AllUsers, directory: AnsweringDirectory, place: Place
) -> None:
    await users.add_user(user(ANA), b"")
    await SqlUsers(place.database).disable_user(ANA)
    with pytest.raises(NotSignedIn):
        await directory.add_conversation(group(ANA), ANA, new_key())


async def test_after_a_day_a_key_is_free_again(
    known: PeoplePorts, users: AllUsers, directory: AnsweringDirectory, place: Place
) -> None:
    await users.add_user(user(ANA), b"")
    key = new_key()
    first = await directory.add_conversation(group(ANA), ANA, key)
    await aged(place, KEPT_SECONDS - 60)
    assert await known.creations.find(ANA, key.key) is not None
    trimming = SqlCreations(place.database)
    assert await trimming.trim() == 0
    await aged(place, 61)
    assert await trimming.trim() == 1
    assert await known.creations.find(ANA, key.key) is None
    second = await directory.add_conversation(group(ANA), ANA, replace(key, request_hash=b"x" * 32))
    assert second.conversation_id != first.conversation_id
    found = await known.creations.find(ANA, key.key)
    assert found is not None
    assert found.request_hash == b"x" * 32


async def test_old_ones_are_trimmed(
    known: PeoplePorts, users: AllUsers, directory: AnsweringDirectory, place: Place
) -> None:
    await users.add_user(user(ANA), b"")
    old = [new_key() for _ in range(3)]
    for key in old:
        await directory.add_conversation(group(ANA), ANA, key)
    await aged(place, KEPT_SECONDS + 1)
    new = new_key()
    await directory.add_conversation(group(ANA), ANA, new)
    assert await SqlCreations(place.database).trim() == 3
    assert await SqlTrimming(place.database).trim() == 0
    assert await known.creations.find(ANA, new.key) is not None


async def test_a_clock_that_is_ahead_frees_no_key(
    known: PeoplePorts,
    users: AllUsers,
    directory: AnsweringDirectory,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the retry of a request that was answered creates again."""
    await users.add_user(user(ANA), b"")
    trimming, key = SqlCreations(place.database), new_key()
    await directory.add_conversation(group(ANA), ANA, key)
    ahead = (KEPT_SECONDS + 60) * 1_000
    await aged(place, KEPT_SECONDS + 60)  # as the database sees it, whose clock is ahead
    monkeypatch.setattr(creations, "now_ms", lambda connection: now_ms(connection) + ahead)
    assert await trimming.trim() == 0
    assert await known.creations.find(ANA, key.key) is not None
    with pytest.raises(AlreadyTaken):
        await directory.add_conversation(group(ANA), ANA, key)


async def test_an_erased_users_are_forgotten(known: PeoplePorts, users: AllUsers) -> None:
    keys = [new_key(), new_key(BRUNO)]
    await users.add_user(user(ANA), b"", keys[0])
    await users.add_user(user(BRUNO), b"", keys[1])
    await users.erase_user(ANA)
    assert await known.creations.find(ANA, keys[0].key) is None
    assert await known.creations.find(BRUNO, keys[1].key) is not None
