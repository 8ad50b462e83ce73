"""What a change rests on is compared again in the transaction that makes it (EXACTNESS 19a)."""

from collections.abc import Awaitable, Callable

import pytest

from chat4all.adapters.sql import SqlUsers
from chat4all.domain.errors import Conflict, NotAllowed, NotFound, NotSignedIn
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import ConversationChanges, Role, Session, UserChanges
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.sessions import Sessions
from chat4all.ports.users import AllUsers
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_sessions import refreshed, session
from tests.databases import Place

pytestmark = pytest.mark.anyio

HERE, THERE = SessionId("here"), SessionId("there")


@pytest.fixture(autouse=True)
async def _people(users: AllUsers, sessions: Sessions) -> None:
    for name in (ANA, BRUNO, CARLA):
        await users.add_user(user(name), b"old")
    for one in (HERE, THERE):
        await sessions.start(session(one), refreshed())


@pytest.fixture
def operator(place: Place) -> SqlUsers:
    return SqlUsers(place.database)


async def test_of_two_new_passwords_only_one_is_set(users: AllUsers, sessions: Sessions) -> None:
    """Both were let through by the old password; the first one ends the other's session."""
    await users.change_user(ANA, UserChanges(password_hash=b"first"), HERE, b"old")
    with pytest.raises(NotSignedIn):
        await users.change_user(ANA, UserChanges(password_hash=b"second"), THERE, b"old")
    assert await users.password_hash(ANA) == b"first"
    assert [one.session_id for one in await sessions.of_user(ANA)] == [HERE]


async def test_a_password_that_was_compared_with_an_older_one_is_wrong(users: AllUsers) -> None:
    await users.change_user(ANA, UserChanges(password_hash=b"first"), HERE, b"old")
    with pytest.raises(NotAllowed, match="current password"):
        await users.change_user(ANA, UserChanges(password_hash=b"second"), HERE, b"old")
    assert await users.password_hash(ANA) == b"first"


@pytest.mark.parametrize("what", ["passwd", "disable", "erase"])
async def test_an_operator_is_not_overtaken(users: AllUsers, operator: SqlUsers, what: str) -> None:
    act: dict[str, Callable[[], Awaitable[object]]] = {
        "passwd": lambda: operator.change_user(ANA, UserChanges(password_hash=b"operator's")),
        "disable": lambda: operator.disable_user(ANA),
        "erase": lambda: operator.erase_user(ANA),
    }
    before = await users.password_hash(ANA)
    await act[what]()
    with pytest.raises(NotSignedIn):
        await users.change_user(ANA, UserChanges(password_hash=b"mine"), HERE, before)
    with pytest.raises(NotSignedIn):
        await users.change_user(ANA, UserChanges(email="mine@x.org"), HERE)
    with pytest.raises(NotSignedIn):
        await users.erase_user(ANA, HERE)
    assert await users.password_hash(ANA) != b"mine"


async def test_a_sign_in_that_is_overtaken_starts_no_session(
    sessions: Sessions, operator: SqlUsers
) -> None:
    late = Session(SessionId("late"), ANA, session("x").expires_at)
    await operator.change_user(ANA, UserChanges(password_hash=b"new"))
    with pytest.raises(NotSignedIn):
        await sessions.start(late, refreshed(), b"old")
    await operator.disable_user(ANA)
    with pytest.raises(NotSignedIn):
        await sessions.start(late, refreshed(), b"new")
    await operator.disable_user(ANA, disabled=False)
    await operator.erase_user(ANA)
    with pytest.raises(NotSignedIn):
        await sessions.start(late, refreshed(), b"new")
    assert await sessions.of_user(ANA) == []


async def test_a_session_that_was_ended_ends_no_other(users: AllUsers, sessions: Sessions) -> None:
    await sessions.end(THERE, ANA, HERE)
    with pytest.raises(NotSignedIn):
        await sessions.end(HERE, ANA, THERE)
    assert [one.session_id for one in await sessions.of_user(ANA)] == [HERE]
    with pytest.raises(NotSignedIn):
        await users.change_user(ANA, UserChanges(email="thief@x.org"), THERE)
    # It is compared with the user too.
    with pytest.raises(NotSignedIn):
        await users.change_user(BRUNO, UserChanges(email="thief@x.org"), HERE)


async def test_who_was_demoted_removed_or_disabled_meanwhile_changes_nothing(
    directory: AnsweringDirectory, operator: SqlUsers
) -> None:
    chat = (await directory.add_conversation(group(ANA, BRUNO))).conversation_id
    by_bruno: list[Callable[[], Awaitable[object]]] = [
        lambda: directory.add_member(chat, CARLA, Role.MEMBER, BRUNO),
        lambda: directory.change_conversation(chat, ConversationChanges("mine"), BRUNO),
        lambda: directory.delete_conversation(chat, BRUNO),
        lambda: directory.change_role(chat, ANA, Role.MEMBER, BRUNO),
        lambda: directory.remove_member(chat, ANA, BRUNO),
    ]

    async def refused(error: type[Exception]) -> None:
        for act in by_bruno:
            with pytest.raises(error):
                await act()

    await refused(NotAllowed)  # a member
    await directory.change_role(chat, BRUNO, Role.OWNER, ANA)
    await operator.disable_user(BRUNO)
    await refused(NotSignedIn)
    await directory.remove_member(chat, BRUNO, ANA)
    await operator.disable_user(BRUNO, disabled=False)
    await refused(NotFound)
    assert await directory.members(chat) == {ANA: Role.OWNER}


async def test_a_disabled_user_gets_no_role(
    directory: AnsweringDirectory, operator: SqlUsers
) -> None:
    chat = (await directory.add_conversation(group(ANA, BRUNO))).conversation_id
    for name in (BRUNO, CARLA):
        await operator.disable_user(name)
    for role in (Role.OWNER, Role.ADMIN):
        with pytest.raises(Conflict, match="disabled"):
            await directory.change_role(chat, BRUNO, role, ANA)
        with pytest.raises(Conflict, match="disabled"):
            await directory.add_member(chat, CARLA, role, ANA)
    await directory.add_member(chat, CARLA, Role.MEMBER, ANA)
    expected = {ANA: Role.OWNER, BRUNO: Role.MEMBER, CARLA: Role.MEMBER}
    assert await directory.members(chat) == expected


async def test_the_last_owner_who_can_sign_in_stays(
    directory: AnsweringDirectory, operator: SqlUsers
) -> None:
    chat = (await directory.add_conversation(group(ANA, BRUNO, CARLA))).conversation_id
    await directory.change_role(chat, BRUNO, Role.OWNER, ANA)
    await operator.disable_user(BRUNO)
    with pytest.raises(Conflict):
        await directory.remove_member(chat, ANA, ANA)
    with pytest.raises(Conflict):
        await directory.change_role(chat, ANA, Role.ADMIN, ANA)
    await directory.change_role(chat, BRUNO, Role.MEMBER, ANA)  # who is disabled may lose a role
    assert await directory.members(chat) == {
        ANA: Role.OWNER,
        BRUNO: Role.MEMBER,
        CARLA: Role.MEMBER,
    }


async def test_who_inherits_can_sign_in(
    users: AllUsers, directory: AnsweringDirectory, operator: SqlUsers
) -> None:
    chat = (await directory.add_conversation(group(ANA, BRUNO, CARLA))).conversation_id
    await directory.change_role(chat, BRUNO, Role.ADMIN, ANA)
    with_owner = (await directory.add_conversation(group(ANA, BRUNO, CARLA))).conversation_id
    await directory.change_role(with_owner, BRUNO, Role.OWNER, ANA)
    alone = (await directory.add_conversation(group(ANA, BRUNO))).conversation_id
    await operator.disable_user(BRUNO)
    await users.erase_user(ANA)
    assert await directory.members(chat) == {BRUNO: Role.ADMIN, CARLA: Role.OWNER}
    # She owns it too: the other owner may never come back.
    assert await directory.members(with_owner) == {BRUNO: Role.OWNER, CARLA: Role.OWNER}
    # Nobody can, until somebody is enabled.
    assert await directory.members(alone) == {BRUNO: Role.MEMBER}
    await operator.disable_user(BRUNO, disabled=False)
    found = await directory.conversation(alone)
    assert found is not None
    assert found.members == {BRUNO: Role.OWNER}
    assert await directory.members(chat) == {BRUNO: Role.ADMIN, CARLA: Role.OWNER}


@pytest.mark.parametrize("without", [("a-z", "a.b"), ("a.b",), ()])
async def test_who_inherits_is_the_same_on_every_database(
    users: AllUsers, directory: AnsweringDirectory, place: Place, without: tuple[str, ...]
) -> None:
    """Members without `joined_at` come first; names are compared by their bytes."""
    others = [Username(name) for name in ("ab", "a.b", "a-z")]
    for name in others:
        await users.add_user(user(name), b"")
    chat = (await directory.add_conversation(group(ANA, *others))).conversation_id
    for first in without:
        await place.database.write(
            lambda connection, first=first: connection.exec_driver_sql(  # type: ignore[misc]
                f"UPDATE members SET joined_at = NULL WHERE username = '{first}'"
            )
        )
    await users.erase_user(ANA)
    (owner,) = [name for name, r in (await directory.members(chat)).items() if r is Role.OWNER]
    assert owner == min([Username(name) for name in without] or others)
