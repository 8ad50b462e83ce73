"""What every Directory does."""

import asyncio
import uuid
from dataclasses import replace

import pytest

from chat4all.domain.errors import AlreadyTaken, NotFound, Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User
from chat4all.ports import Directory
from tests.databases import Place

pytestmark = pytest.mark.anyio

ANA, BRUNO, CARLA = Username("ana"), Username("bruno"), Username("carla")


def user(name: Username) -> User:
    return User(name, f"{name}@Example.com", "2026-01-31T12:00:00.000Z")


def group(*members: Username) -> Conversation:
    return Conversation(
        ConversationId(str(uuid.uuid4())),
        ConversationType.GROUP,
        "Equipe 🎉",
        {name: Role.OWNER if n == 0 else Role.MEMBER for n, name in enumerate(members)},
        "2026-01-31T12:00:00.000Z",
        {"ticket": "4711"},
    )


def private(one: Username, two: Username) -> Conversation:
    members = {one: Role.MEMBER, two: Role.MEMBER}
    found = group(one, two)
    return replace(found, type=ConversationType.PRIVATE, title=None, members=members)


@pytest.fixture
async def people(directory: Directory) -> Directory:
    for name in (ANA, BRUNO, CARLA):
        await directory.add_user(user(name), f"hash of {name}".encode())
    return directory


async def test_users(people: Directory) -> None:
    assert await people.user(ANA) == user(ANA)
    assert await people.password_hash(ANA) == b"hash of ana"
    assert await people.user(Username("nobody")) is None
    assert await people.password_hash(Username("nobody")) is None
    for taken in (
        replace(user(ANA), email="new@x.org"),
        replace(user(Username("new")), email="ANA@example.COM"),
    ):
        with pytest.raises(AlreadyTaken):
            await people.add_user(taken, b"")
    assert await people.password_hash(ANA) == b"hash of ana"
    await people.ping()


async def test_one_name_is_given_to_one_of_many(directory: Directory) -> None:
    async def take(n: int) -> bool:
        try:
            await directory.add_user(replace(user(ANA), email=f"{n}@x.org"), b"%d" % n)
        except AlreadyTaken:
            return False
        return True

    won = await asyncio.gather(*[take(n) for n in range(30)])
    assert won.count(True) == 1
    assert await directory.password_hash(ANA) == b"%d" % won.index(True)


async def test_conversations(people: Directory) -> None:
    made = group(ANA, BRUNO)
    assert await people.add_conversation(made) == made
    assert await people.conversation(made.conversation_id) == made
    assert await people.members(made.conversation_id) == made.members
    with pytest.raises(AlreadyTaken):
        await people.add_conversation(replace(group(ANA), conversation_id=made.conversation_id))
    assert await people.members(made.conversation_id) == made.members
    with pytest.raises(NotFound, match="nobody"):
        await people.add_conversation(group(ANA, Username("nobody"), BRUNO))


async def test_what_does_not_exist_has_no_members(people: Directory) -> None:
    nowhere = group(ANA).conversation_id
    assert await people.members(nowhere) == {}
    assert await people.conversation(nowhere) is None
    with pytest.raises(NotFound):
        await people.add_member(nowhere, ANA, Role.MEMBER)


async def test_members_are_let_in_once(people: Directory) -> None:
    made = await people.add_conversation(group(ANA))
    assert BRUNO not in await people.members(made.conversation_id)
    await people.add_member(made.conversation_id, BRUNO, Role.ADMIN)
    assert await people.members(made.conversation_id) == {ANA: Role.OWNER, BRUNO: Role.ADMIN}
    with pytest.raises(AlreadyTaken):
        await people.add_member(made.conversation_id, BRUNO, Role.MEMBER)
    with pytest.raises(NotFound):
        await people.add_member(made.conversation_id, Username("nobody"), Role.MEMBER)
    assert await people.members(made.conversation_id) == {ANA: Role.OWNER, BRUNO: Role.ADMIN}


async def test_a_pair_has_one_private_conversation(people: Directory) -> None:
    found = await asyncio.gather(
        *[people.add_conversation(private(*pair)) for pair in [(ANA, BRUNO), (BRUNO, ANA)] * 15]
    )
    assert len({c.conversation_id for c in found}) == 1
    other = await people.add_conversation(private(ANA, CARLA))
    assert other.conversation_id != found[0].conversation_id


async def test_a_directory_that_is_locked_is_unavailable_and_comes_back(
    people: Directory, place: Place
) -> None:
    async with place.locked():
        with pytest.raises(Unavailable):
            await people.add_user(user(Username("davi")), b"")
    await people.add_user(user(Username("davi")), b"")
