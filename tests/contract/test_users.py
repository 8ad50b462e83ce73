"""The contract of `ports.users`."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chat4all.adapters.sql import SqlUsers
from chat4all.domain.errors import AlreadyTaken, NotFound, Unavailable
from chat4all.domain.ids import Username
from chat4all.domain.people import Role, User, UserChanges
from chat4all.domain.times import now_utc
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.sessions import Sessions
from chat4all.ports.users import AllUsers
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, private, user
from tests.contract.test_sessions import refreshed, session
from tests.databases import Place

pytestmark = pytest.mark.anyio


async def add(users: AllUsers, *names: Username) -> None:
    for name in names:
        await users.add_user(user(name), f"hash of {name}".encode())


def names(found: Sequence[User]) -> list[str]:
    return [one.username for one in found]


async def test_users(users: AllUsers) -> None:
    await add(users, ANA, BRUNO)
    assert await users.user(ANA) == user(ANA)
    assert await users.password_hash(ANA) == b"hash of ana"
    assert await users.user(Username("nobody")) is None
    assert await users.password_hash(Username("nobody")) is None
    for taken, what in (
        (replace(user(ANA), email="new@x.org"), "username"),
        (replace(user(Username("new")), email="ANA@example.COM"), "e-mail"),
    ):
        with pytest.raises(AlreadyTaken, match=what):
            await users.add_user(taken, b"")
    assert await users.password_hash(ANA) == b"hash of ana"


async def test_one_name_is_given_to_one_of_many(users: AllUsers) -> None:
    async def take(n: int) -> bool:
        try:
            await users.add_user(replace(user(ANA), email=f"{n}@x.org"), b"%d" % n)
        except AlreadyTaken:
            return False
        return True

    won = await asyncio.gather(*[take(n) for n in range(30)])
    assert won.count(True) == 1
    assert await users.password_hash(ANA) == b"%d" % won.index(True)


async def test_users_are_found_by_how_their_names_begin(users: AllUsers, place: Place) -> None:
    shown = {
        "anna": "Zoë",
        "an_a": None,
        "bea": "Anna B",
        "bob": "100% Bob",
        "zora": "a\\b",
        "gone": "Anna C",
    }
    for name, display_name in shown.items():
        one = replace(user(Username(name)), display_name=display_name)
        await users.add_user(one, b"")
    await SqlUsers(place.database).disable_user(Username("gone"))
    for prefix, expected in {
        "an": ["an_a", "anna", "bea"],
        "AN": ["an_a", "anna", "bea"],
        "an_": ["an_a"],
        "anna b": ["bea"],
        "zoË": ["anna"],
        "ZOE\u0308": ["anna"],
        "zo\u200bë": ["anna"],
        "zoe": [],
        "1": ["bob"],
        "100%": ["bob"],
        "%": [],
        "_": [],
        "a\\": ["zora"],
        "nna": [],
    }.items():
        assert sorted(names(await users.find_users(prefix, 10))) == expected, prefix
    everybody: list[str] = []
    while page := await users.find_users("", 2, everybody[-1] if everybody else ""):
        assert len(page) <= 2
        everybody += names(page)
    assert sorted(everybody) == ["an_a", "anna", "bea", "bob", "zora"]
    assert len(everybody) == 5


async def test_contacts_are_found_by_name_too(
    users: AllUsers, directory: AnsweringDirectory
) -> None:
    await add(users, ANA, BRUNO, CARLA)
    assert await users.find_users("", 10, contacts_of=ANA) == []
    await directory.add_conversation(private(ANA, BRUNO))
    await directory.add_conversation(group(BRUNO, CARLA))
    for viewer, prefix, found in [
        (ANA, "", [ANA, BRUNO]),
        (ANA, "b", [BRUNO]),
        (ANA, "c", []),
        (BRUNO, "", [ANA, BRUNO, CARLA]),
    ]:
        assert names(await users.find_users(prefix, 10, contacts_of=viewer)) == found
    assert names(await users.find_users("", 2, contacts_of=BRUNO)) == [ANA, BRUNO]
    assert names(await users.find_users("", 2, BRUNO, contacts_of=BRUNO)) == [CARLA]


async def test_a_hash_is_replaced_by_another_of_the_same_password(users: AllUsers) -> None:
    await add(users, ANA, BRUNO)
    await users.rehash_password(ANA, b"hash of bruno", b"new")
    assert await users.password_hash(ANA) == b"hash of ana"
    await users.rehash_password(ANA, b"hash of ana", b"new")
    assert await users.password_hash(ANA) == b"new"
    assert await users.password_hash(BRUNO) == b"hash of bruno"


async def test_users_change_themselves(users: AllUsers) -> None:
    await add(users, ANA, BRUNO)
    named = await users.change_user(ANA, UserChanges(display_name="Ana 🎉"))
    assert named == replace(user(ANA), display_name="Ana 🎉") == await users.user(ANA)
    moved = await users.change_user(ANA, UserChanges(email="new@x.org"))
    assert moved == replace(named, email="new@x.org")
    with pytest.raises(AlreadyTaken):
        await users.change_user(ANA, UserChanges(email="BRUNO@example.com", display_name="x"))
    assert await users.user(ANA) == moved
    unnamed = await users.change_user(ANA, UserChanges(display_name=""))
    assert unnamed.display_name is None
    assert await users.change_user(ANA, UserChanges()) == unnamed
    await users.change_user(ANA, UserChanges(password_hash=b"another"))
    assert await users.password_hash(ANA) == b"another"
    with pytest.raises(NotFound):
        await users.change_user(Username("nobody"), UserChanges(display_name="x"))


async def signed_in(sessions: Sessions, *ids: str) -> None:
    for one in ids:
        await sessions.start(session(one), refreshed())


async def test_a_new_password_ends_all_sessions_but_one(
    users: AllUsers, sessions: Sessions
) -> None:
    await add(users, ANA)
    await signed_in(sessions, "a", "b", "c")
    await users.change_user(ANA, UserChanges(display_name="x"))
    assert len(await sessions.of_user(ANA)) == 3
    kept = session("b").session_id
    await users.change_user(ANA, UserChanges(password_hash=b"x"), kept)
    assert [one.session_id for one in await sessions.of_user(ANA)] == [kept]
    await users.change_user(ANA, UserChanges(password_hash=b"y"))
    assert await sessions.of_user(ANA) == []


async def test_who_is_disabled_is_out_until_enabled(
    users: AllUsers, sessions: Sessions, place: Place
) -> None:
    operator = SqlUsers(place.database)  # as the command does it: past the services
    await add(users, ANA)
    await signed_in(sessions, "a")
    await operator.disable_user(ANA)
    assert await sessions.of_user(ANA) == []
    assert await users.password_hash(ANA) is None
    assert await users.user(ANA) == replace(user(ANA), is_disabled=True)
    await operator.disable_user(ANA, disabled=False)
    assert await users.password_hash(ANA) == b"hash of ana"
    with pytest.raises(NotFound):
        await operator.disable_user(Username("nobody"))


async def test_who_is_erased_is_nobody_any_more(
    users: AllUsers, sessions: Sessions, directory: AnsweringDirectory
) -> None:
    await add(users, ANA, BRUNO)
    await signed_in(sessions, "a")
    chat = (await directory.add_conversation(group(BRUNO, ANA))).conversation_id
    pair = (await directory.add_conversation(private(BRUNO, ANA))).conversation_id
    assert await users.aliases([ANA, BRUNO]) == {}
    await users.erase_user(ANA)
    assert await users.user(ANA) is None
    assert await users.password_hash(ANA) is None
    assert names(await users.find_users("", 10)) == [BRUNO]
    assert await sessions.of_user(ANA) == []
    for conversation in (chat, pair):
        assert set(await directory.members(conversation)) == {BRUNO}
    found = await users.aliases([ANA, BRUNO, Username("nobody")])
    assert set(found) == {ANA}
    assert found[ANA].startswith("deleted-")
    assert ANA not in found[ANA]
    with pytest.raises(NotFound):
        await users.erase_user(ANA)
    assert await users.aliases([ANA]) == found
    # Names that foreign records have and databases do not take.
    assert await users.aliases([Username("\0"), ANA, Username("a\0na")]) == found
    assert await users.aliases([Username("\0")]) == {}
    # A page of them may mention as many, and as long ones, as this.
    for character in "xñ👩":
        many = [Username(f"{n}{character * 250}") for n in range(5_000)]
        assert await users.aliases([*many, ANA, *many]) == found
    with pytest.raises(AlreadyTaken, match="username"):
        await add(users, ANA)
    await users.add_user(replace(user(CARLA), email=user(ANA).email), b"")
    with pytest.raises(NotFound):
        await directory.add_member(chat, ANA, Role.MEMBER)
    with pytest.raises(NotFound):
        await directory.add_conversation(group(BRUNO, ANA))


async def next_millisecond() -> None:
    """Let time pass between two who join: within one millisecond neither is the first."""
    now = now_utc()
    async with asyncio.timeout(5):
        while now_utc() == now:
            await asyncio.sleep(0)


async def test_what_an_erased_user_owned_alone_is_handed_over(
    users: AllUsers, directory: AnsweringDirectory
) -> None:
    await add(users, ANA, BRUNO, CARLA)
    to_admin = (await directory.add_conversation(group(ANA, BRUNO, CARLA))).conversation_id
    await directory.change_role(to_admin, CARLA, Role.ADMIN, ANA)
    to_first = (await directory.add_conversation(group(ANA, CARLA))).conversation_id
    await next_millisecond()
    await directory.add_member(to_first, BRUNO, Role.MEMBER, ANA)
    with_another = (await directory.add_conversation(group(ANA, BRUNO, CARLA))).conversation_id
    await directory.change_role(with_another, CARLA, Role.OWNER, ANA)
    alone = (await directory.add_conversation(group(ANA))).conversation_id
    await users.erase_user(ANA)
    for chat, expected in {
        to_admin: {BRUNO: Role.MEMBER, CARLA: Role.OWNER},
        to_first: {BRUNO: Role.MEMBER, CARLA: Role.OWNER},
        with_another: {BRUNO: Role.MEMBER, CARLA: Role.OWNER},
        alone: {},
    }.items():
        found = await directory.conversation(chat)
        assert (dict(found.members) if found else {}) == expected
    assert await directory.conversation(alone) is None


async def test_erasing_leaves_nothing_personal(
    users: AllUsers, sessions: Sessions, where: object
) -> None:
    one = User(ANA, "very.private@example.com", "2026-01-31T12:00:00.000Z", "Ana Maria Braga")
    await users.add_user(one, b"a hash of hers")
    await sessions.start(replace(session("a"), device="her telephone"), refreshed())
    await users.erase_user(ANA)
    if not isinstance(where, Path):
        return
    with closing(sqlite3.connect(where)) as file:
        everything = "\n".join(file.iterdump()).casefold()
    for personal in ("very.private", "braga", b"a hash of hers".hex(), "telephone"):
        assert personal not in everything
    assert "deleted-" in everything


async def test_users_that_are_locked_are_unavailable_and_come_back(
    users: AllUsers, place: Place
) -> None:
    async with place.locked():
        with pytest.raises(Unavailable):
            await add(users, ANA)
    await add(users, ANA)
