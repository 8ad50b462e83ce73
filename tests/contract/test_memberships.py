"""The contract of `ports.directory.Memberships`."""

import pytest
from sqlalchemy import insert

from chat4all.adapters.sql import tables
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.listing import LISTED_MEMBERS_MAX
from chat4all.domain.people import ConversationType, Role
from chat4all.ports.directory import AnsweringDirectory, Memberships
from chat4all.ports.users import AllUsers
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, private, user
from tests.databases import Place

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def _people(users: AllUsers) -> None:
    for name in (ANA, BRUNO, CARLA):
        await users.add_user(user(name), b"")


async def test_memberships_are_those_that_one_has_now(
    memberships: Memberships, directory: AnsweringDirectory
) -> None:
    assert await memberships.of_user(ANA) == []
    mine, theirs = group(ANA, BRUNO), group(BRUNO, ANA)
    gone = await directory.add_conversation(group(BRUNO, ANA))
    deleted = await directory.add_conversation(group(ANA))
    for one in (mine, theirs, group(BRUNO)):
        await directory.add_conversation(one)
    await directory.remove_member(gone.conversation_id, ANA, ANA)
    await directory.delete_conversation(deleted.conversation_id, ANA)
    found = await memberships.of_user(ANA)
    assert {one.conversation_id: one.role for one in found} == {
        mine.conversation_id: Role.OWNER,
        theirs.conversation_id: Role.MEMBER,
    }
    assert len(found) == 2
    # By the database's clock, whatever whoever made the conversation says.
    assert all(one.joined_at > mine.created_at for one in found)


async def test_details_of_several_at_once(
    memberships: Memberships, directory: AnsweringDirectory, users: AllUsers
) -> None:
    chat, pair = group(ANA, BRUNO), private(ANA, CARLA)
    with_erased, deleted = private(ANA, BRUNO), group(ANA)
    for one in (chat, pair, with_erased, deleted):
        await directory.add_conversation(one)
    await directory.delete_conversation(deleted.conversation_id)
    await users.erase_user(BRUNO)
    alias = (await users.aliases([BRUNO]))[BRUNO]
    wanted = [one.conversation_id for one in (chat, pair, with_erased, deleted)]
    found = await memberships.details(wanted, ANA)
    assert set(found) == set(wanted[:3])
    of_chat = found[chat.conversation_id]
    assert (of_chat.type, of_chat.title) == (ConversationType.GROUP, chat.title)
    assert (of_chat.metadata, of_chat.created_at) == (chat.metadata, chat.created_at)
    assert (of_chat.members, of_chat.count, of_chat.peer) == ({ANA: Role.OWNER}, 1, None)
    of_pair = found[pair.conversation_id]
    assert (set(of_pair.members), of_pair.count, of_pair.peer) == ({ANA, CARLA}, 2, CARLA)
    assert found[with_erased.conversation_id].peer == alias
    theirs = await memberships.details([pair.conversation_id], CARLA)
    assert theirs[pair.conversation_id].peer == ANA
    assert await memberships.details([], ANA) == {}
    assert await memberships.details([ConversationId("x")], ANA) == {}


async def test_of_a_large_group_the_first_members_and_how_many_there_are(
    memberships: Memberships, directory: AnsweringDirectory, place: Place
) -> None:
    assert LISTED_MEMBERS_MAX == 100
    names = [Username(f"user{n:03}") for n in range(101)]
    rows = [
        {"username": n, "email": n, "email_key": n, "password_hash": b"", "created_at": ""}
        for n in names
    ]
    await place.database.write(
        lambda connection: connection.execute(insert(tables.users), rows).rowcount
    )
    full, larger = group(*names[:100]), group(*names)
    for one in (full, larger):
        await directory.add_conversation(one)
    wanted = [full.conversation_id, larger.conversation_id]
    found = await memberships.details(wanted, names[0])
    assert [list(found[key].members) for key in wanted] == [names[:100]] * 2
    assert [found[key].count for key in wanted] == [100, 101]
    # One answer has a bound: of many conversations, it has only those that are not large.
    assert await directory.members_of(wanted) == {full.conversation_id: full.members}


async def test_a_conversation_in_common_is_found_for_those_who_have_one(
    memberships: Memberships, directory: AnsweringDirectory
) -> None:
    together, left, others = group(ANA, BRUNO), group(ANA, CARLA), group(BRUNO, CARLA)
    for one in (together, left, others):
        await directory.add_conversation(one)
    await directory.remove_member(left.conversation_id, CARLA, ANA)
    nobody = Username("nobody")
    found = await memberships.shared(ANA, [BRUNO, CARLA, nobody])
    assert found == {BRUNO: together.conversation_id}
    again = group(ANA, BRUNO)
    await directory.add_conversation(again)
    both = {together.conversation_id, again.conversation_id}
    assert (await memberships.shared(BRUNO, [ANA, ANA]))[ANA] in both
    for chat in both:
        await directory.delete_conversation(chat)
    assert await memberships.shared(ANA, [BRUNO]) == {}
    assert await memberships.shared(ANA, []) == {}
