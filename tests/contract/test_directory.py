"""The contract of `ports.directory`: members and conversations."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from chat4all.domain.errors import AlreadyTaken, Conflict, NotAllowed, NotFound, Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationChanges, ConversationType, Role, User
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.users import AllUsers
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
async def people(users: AllUsers, directory: AnsweringDirectory) -> AnsweringDirectory:
    for name in (ANA, BRUNO, CARLA):
        await users.add_user(user(name), f"hash of {name}".encode())
    return directory


async def test_conversations(people: AnsweringDirectory) -> None:
    made = group(ANA, BRUNO)
    assert await people.add_conversation(made) == made
    assert await people.conversation(made.conversation_id) == made
    assert await people.members(made.conversation_id) == made.members
    with pytest.raises(AlreadyTaken):
        await people.add_conversation(replace(group(ANA), conversation_id=made.conversation_id))
    assert await people.members(made.conversation_id) == made.members
    with pytest.raises(NotFound, match="nobody"):
        await people.add_conversation(group(ANA, Username("nobody"), BRUNO))


async def test_what_does_not_exist_has_no_members(people: AnsweringDirectory) -> None:
    nowhere = group(ANA).conversation_id
    assert await people.members(nowhere) == {}
    assert await people.conversation(nowhere) is None
    with pytest.raises(NotFound):
        await people.add_member(nowhere, ANA, Role.MEMBER)


async def test_members_of_several_at_once(people: AnsweringDirectory) -> None:
    assert await people.members_of([]) == {}
    made, pair, left = group(CARLA, ANA, BRUNO), private(ANA, BRUNO), group(BRUNO, ANA)
    deleted, nowhere = group(ANA), group(ANA).conversation_id
    for one in (made, pair, left, deleted):
        await people.add_conversation(one)
    await people.remove_member(left.conversation_id, ANA, BRUNO)
    await people.delete_conversation(deleted.conversation_id)
    asked = [*(one.conversation_id for one in (made, pair, left, deleted)), nowhere]
    found = await people.members_of([*asked, asked[0]])
    assert found == {one: await people.members(one) for one in asked}
    assert [list(some) for some in found.values()] == [
        [ANA, BRUNO, CARLA],
        [ANA, BRUNO],
        [BRUNO],
        [],
        [],
    ]


async def test_members_are_let_in_once(people: AnsweringDirectory) -> None:
    made = await people.add_conversation(group(ANA))
    assert BRUNO not in await people.members(made.conversation_id)
    await people.add_member(made.conversation_id, BRUNO, Role.ADMIN)
    assert await people.members(made.conversation_id) == {ANA: Role.OWNER, BRUNO: Role.ADMIN}
    with pytest.raises(AlreadyTaken):
        await people.add_member(made.conversation_id, BRUNO, Role.MEMBER)
    with pytest.raises(NotFound):
        await people.add_member(made.conversation_id, Username("nobody"), Role.MEMBER)
    assert await people.members(made.conversation_id) == {ANA: Role.OWNER, BRUNO: Role.ADMIN}


async def test_a_pair_has_one_private_conversation(people: AnsweringDirectory) -> None:
    found = await asyncio.gather(
        *[people.add_conversation(private(*pair)) for pair in [(ANA, BRUNO), (BRUNO, ANA)] * 15]
    )
    assert len({c.conversation_id for c in found}) == 1
    other = await people.add_conversation(private(ANA, CARLA))
    assert other.conversation_id != found[0].conversation_id


async def test_a_directory_that_is_locked_is_unavailable_and_comes_back(
    people: AnsweringDirectory, place: Place
) -> None:
    made = group(ANA)
    async with place.locked():
        with pytest.raises(Unavailable):
            await people.add_conversation(made)
    assert await people.add_conversation(made) == made
    await people.ping()


async def test_roles_are_given_by_owners(people: AnsweringDirectory) -> None:
    chat = (await people.add_conversation(group(ANA, BRUNO, CARLA))).conversation_id
    with pytest.raises(NotAllowed):
        await people.change_role(chat, CARLA, Role.ADMIN, BRUNO)
    await people.change_role(chat, BRUNO, Role.ADMIN, ANA)
    with pytest.raises(NotAllowed):
        await people.change_role(chat, CARLA, Role.ADMIN, BRUNO)
    with pytest.raises(NotFound):
        await people.change_role(chat, Username("nobody"), Role.ADMIN, ANA)
    with pytest.raises(NotFound):
        await people.change_role(chat, CARLA, Role.ADMIN, Username("nobody"))
    await people.change_role(chat, CARLA, Role.OWNER)  # an operator
    assert await people.members(chat) == {ANA: Role.OWNER, BRUNO: Role.ADMIN, CARLA: Role.OWNER}


async def test_members_are_removed_by_who_may_and_leave(people: AnsweringDirectory) -> None:
    chat = (await people.add_conversation(group(ANA, BRUNO, CARLA))).conversation_id
    with pytest.raises(NotAllowed):
        await people.remove_member(chat, CARLA, BRUNO)
    await people.change_role(chat, BRUNO, Role.ADMIN, ANA)
    with pytest.raises(NotAllowed):
        await people.remove_member(chat, ANA, BRUNO)
    await people.remove_member(chat, CARLA, BRUNO)
    assert CARLA not in await people.members(chat)
    with pytest.raises(NotFound):
        await people.remove_member(chat, CARLA, ANA)
    with pytest.raises(NotFound):
        await people.remove_member(chat, CARLA, CARLA)
    await people.add_member(chat, CARLA, Role.MEMBER, BRUNO)
    await people.remove_member(chat, BRUNO, BRUNO)
    assert await people.members(chat) == {ANA: Role.OWNER, CARLA: Role.MEMBER}


async def test_a_group_keeps_an_owner(people: AnsweringDirectory) -> None:
    chat = (await people.add_conversation(group(ANA, BRUNO))).conversation_id
    acts: Sequence[Callable[[], Awaitable[object]]] = (
        lambda: people.remove_member(chat, ANA, ANA),
        lambda: people.remove_member(chat, ANA),
        lambda: people.change_role(chat, ANA, Role.ADMIN, ANA),
    )
    for act in acts:
        with pytest.raises(Conflict):
            await act()
    assert await people.members(chat) == {ANA: Role.OWNER, BRUNO: Role.MEMBER}
    await people.change_role(chat, BRUNO, Role.OWNER, ANA)
    await people.remove_member(chat, ANA, ANA)
    assert await people.members(chat) == {BRUNO: Role.OWNER}


async def test_of_two_owners_who_leave_at_once_one_stays(people: AnsweringDirectory) -> None:
    for _ in range(5):
        chat = (await people.add_conversation(group(ANA, BRUNO))).conversation_id
        await people.change_role(chat, BRUNO, Role.OWNER, ANA)

        async def leave(who: Username, chat: ConversationId = chat) -> bool:
            try:
                await people.remove_member(chat, who, who)
            except Conflict:
                return False
            return True

        assert sorted(await asyncio.gather(leave(ANA), leave(BRUNO))) == [False, True]
        assert list((await people.members(chat)).values()) == [Role.OWNER]


async def test_a_group_is_changed(people: AnsweringDirectory) -> None:
    made = await people.add_conversation(group(ANA, BRUNO))
    chat = made.conversation_id
    with pytest.raises(NotAllowed):
        await people.change_conversation(chat, ConversationChanges("x"), BRUNO)
    with pytest.raises(NotFound):
        await people.change_conversation(chat, ConversationChanges("x"), CARLA)
    await people.change_conversation(chat, ConversationChanges("Outra"), ANA)
    assert await people.conversation(chat) == replace(made, title="Outra")
    await people.change_conversation(chat, ConversationChanges(metadata={"a": "b"}), ANA)
    assert await people.conversation(chat) == replace(made, title="Outra", metadata={"a": "b"})


async def test_what_is_deleted_is_gone_and_its_id_is_not_free(people: AnsweringDirectory) -> None:
    made = await people.add_conversation(group(ANA, BRUNO))
    chat = made.conversation_id
    assert await people.members(chat) == made.members
    with pytest.raises(NotAllowed):
        await people.delete_conversation(chat, BRUNO)
    await people.delete_conversation(chat, ANA)
    assert await people.members(chat) == {}
    assert await people.conversation(chat) is None
    with pytest.raises(NotFound):
        await people.add_member(chat, CARLA, Role.MEMBER)
    with pytest.raises(NotFound):
        await people.delete_conversation(chat)
    with pytest.raises(AlreadyTaken):
        await people.add_conversation(made)


async def test_a_private_conversation_stays_as_it_is(people: AnsweringDirectory) -> None:
    chat = (await people.add_conversation(private(ANA, BRUNO))).conversation_id
    acts: Sequence[Callable[[], Awaitable[object]]] = (
        lambda: people.add_member(chat, CARLA, Role.MEMBER, ANA),
        lambda: people.remove_member(chat, BRUNO, ANA),
        lambda: people.remove_member(chat, ANA, ANA),
        lambda: people.change_role(chat, ANA, Role.OWNER, ANA),
        lambda: people.change_conversation(chat, ConversationChanges("x"), ANA),
        lambda: people.delete_conversation(chat, ANA),
    )
    for act in acts:
        with pytest.raises(NotAllowed):
            await act()
    assert set(await people.members(chat)) == {ANA, BRUNO}
