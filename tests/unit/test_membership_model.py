"""Any order of what people do to groups and to themselves, one after another and two at once."""

import asyncio
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from chat4all.adapters.sql import Database, SqlDirectory, SqlMemberships, SqlUsers, upgrade
from chat4all.domain.errors import (
    AlreadyTaken,
    Conflict,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Refused,
)
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.people import Conversation, ConversationType, Role, User
from tests.machines import AsyncMachine

PEOPLE = [Username(f"user{n}") for n in range(4)]
people = st.sampled_from(PEOPLE)
roles = st.sampled_from(list(Role))
groups = st.integers(0, 3)

RANK = {Role.MEMBER: 0, Role.ADMIN: 1, Role.OWNER: 2}


class Groups(AsyncMachine):
    """`roles` is what must be true: for each group who is in it, and as what.

    `off` are those who are disabled.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._database = Database(Path(self._folder.name) / "metadata.db")
        self.run(upgrade(self._database))
        self._users = SqlUsers(self._database)
        self._directory = SqlDirectory(self._database)
        self._memberships = SqlMemberships(self._database)
        self.there: set[Username] = set()
        self.erased: set[Username] = set()
        self.off: set[Username] = set()
        self.roles: dict[ConversationId, dict[Username, Role]] = {}
        self.pairs: dict[frozenset[Username], ConversationId] = {}
        for name in PEOPLE:
            self.run(self._users.add_user(User(name, f"{name}@x.org", ""), b""))
            self.there.add(name)

    def teardown(self) -> None:
        self.run(self._database.close())
        super().teardown()
        self._folder.cleanup()

    def group(self, number: int) -> ConversationId | None:
        found = sorted(self.roles)
        return found[number % len(found)] if found else None

    @rule(owner=people, others=st.lists(people, max_size=3, unique=True))
    def create(self, owner: Username, others: list[Username]) -> None:
        key = ConversationId(str(uuid.uuid4()))
        members = dict.fromkeys(others, Role.MEMBER) | {owner: Role.OWNER}
        group = Conversation(key, ConversationType.GROUP, None, members, "2026")
        refused = self.tried(self._directory.add_conversation(group))
        assert refused == (None if self.there.issuperset(members) else NotFound)
        if refused is None:
            self.roles[key] = members

    @rule(one=people, other=people)
    def talk_in_private(self, one: Username, other: Username) -> None:
        if one == other or not {one, other} <= self.there:
            return
        key, pair = ConversationId(str(uuid.uuid4())), frozenset((one, other))
        members = dict.fromkeys(pair, Role.MEMBER)
        private = Conversation(key, ConversationType.PRIVATE, None, members, "2026")
        found = self.run(self._directory.add_conversation(private))
        assert isinstance(found, Conversation)
        assert self.pairs.setdefault(pair, found.conversation_id) == found.conversation_id

    @rule(number=groups, by=people, who=people, role=roles)
    def add(self, number: int, by: Username, who: Username, role: Role) -> None:
        if (key := self.group(number)) is None:
            return
        members = self.roles[key]
        expected: type[Refused] | None = None
        if by in self.off:
            expected = NotSignedIn
        elif by not in members:
            expected = NotFound
        elif members[by] is Role.MEMBER or (
            role is not Role.MEMBER and members[by] is not Role.OWNER
        ):
            expected = NotAllowed
        elif role is not Role.MEMBER and who in self.off:
            expected = Conflict
        elif who in members:
            expected = AlreadyTaken
        elif who not in self.there:
            expected = NotFound
        assert self.tried(self._directory.add_member(key, who, role, by)) == expected
        if expected is None:
            members[who] = role

    @rule(number=groups, by=people, who=people, role=roles)
    def promote(self, number: int, by: Username, who: Username, role: Role) -> None:
        if (key := self.group(number)) is None:
            return
        members = self.roles[key]
        expected: type[Refused] | None = None
        if by in self.off:
            expected = NotSignedIn
        elif by not in members:
            expected = NotFound
        elif members[by] is not Role.OWNER:
            expected = NotAllowed
        elif who not in members:
            expected = NotFound
        elif (role is not Role.MEMBER and who in self.off) or (
            role is not Role.OWNER and self.is_last_owner(members, who)
        ):
            expected = Conflict
        assert self.tried(self._directory.change_role(key, who, role, by)) == expected
        if expected is None:
            members[who] = role

    @rule(number=groups, by=people, who=people)
    def remove(self, number: int, by: Username, who: Username) -> None:
        if (key := self.group(number)) is None:
            return
        members = self.roles[key]
        expected: type[Refused] | None = None
        if by in self.off:
            expected = NotSignedIn
        elif by not in members or who not in members:
            expected = NotFound
        elif (
            by != who and members[by] is not Role.OWNER and RANK[members[by]] <= RANK[members[who]]
        ):
            expected = NotAllowed
        if expected is None and self.is_last_owner(members, who):
            expected = Conflict
        assert self.tried(self._directory.remove_member(key, who, by)) == expected
        if expected is None:
            del members[who]

    @rule(number=groups, by=people)
    def delete(self, number: int, by: Username) -> None:
        if (key := self.group(number)) is None:
            return
        role = self.roles[key].get(by)
        expected: type[Refused] | None = NotSignedIn
        if by not in self.off:
            expected = {None: NotFound, Role.OWNER: None}.get(role, NotAllowed)
        assert self.tried(self._directory.delete_conversation(key, by)) == expected
        if expected is None:
            del self.roles[key]

    @rule(who=people)
    def erase(self, who: Username) -> None:
        expected = None if who in self.there else NotFound
        assert self.tried(self._users.erase_user(who)) == expected
        self.there.discard(who)
        self.erased.add(who)
        self.off.discard(who)
        for key, members in list(self.roles.items()):
            role = members.pop(who, None)
            if role is None:
                continue
            if not members and role is Role.OWNER:
                del self.roles[key]
            elif role is Role.OWNER and not self.acting_owners(members):
                # Who comes next is another test's: here it is only that somebody does who can.
                found = self.found(key)
                heirs = {name for name in found if found[name] != members[name]}
                assert set(found) == set(members)
                assert not heirs & self.off
                assert len(heirs) == bool(members.keys() - self.off)
                assert all(found[name] is Role.OWNER for name in heirs)
                self.roles[key] = found

    @rule(who=people, disabled=st.booleans())
    def disable(self, who: Username, disabled: bool) -> None:
        expected = None if who in self.there else NotFound
        assert self.tried(self._users.disable_user(who, disabled=disabled)) == expected
        if expected is None and disabled:
            self.off.add(who)
        elif expected is None:
            self.off.discard(who)
            for members in self.roles.values():
                if who in members and Role.OWNER not in members.values():
                    members[who] = Role.OWNER

    @rule(number=groups, who=people)
    def hand_over(self, number: int, who: Username) -> None:
        if (key := self.group(number)) is None:
            return
        members = self.roles[key]
        expected: type[Refused] | None = None
        if who not in members:
            expected = NotFound
        elif who in self.off:
            expected = Conflict
        assert self.tried(self._directory.hand_over(key, who)) == expected
        if expected is None:
            demoted = {n: Role.MEMBER if r is Role.OWNER else r for n, r in members.items()}
            self.roles[key] = demoted | {who: Role.OWNER}

    @rule(number=groups, one=people, other=people, leave=st.booleans())
    def two_at_once(self, number: int, one: Username, other: Username, leave: bool) -> None:
        """Whatever comes of it, it is as if one had come after the other."""
        if (key := self.group(number)) is None or one == other:
            return

        async def both() -> list[object]:
            first = self._directory.remove_member(key, one, one)
            second = (
                self._directory.remove_member(key, other, other)
                if leave
                else self._directory.change_role(key, other, Role.MEMBER, other)
            )
            return [*await asyncio.gather(first, second, return_exceptions=True)]

        outcomes = self.run(both())
        assert isinstance(outcomes, list)
        assert all(o is None or isinstance(o, Refused) for o in outcomes)
        self.roles[key] = self.found(key)

    def acting_owners(self, members: dict[Username, Role]) -> set[Username]:
        return {n for n, role in members.items() if role is Role.OWNER and n not in self.off}

    def is_last_owner(self, members: dict[Username, Role], who: Username) -> bool:
        return self.acting_owners(members) == {who}

    def found(self, key: ConversationId) -> dict[Username, Role]:
        found = self.run(self._directory.members(key))
        assert isinstance(found, dict)
        return found

    @invariant()
    def what_is_there_is_what_must_be(self) -> None:
        for key, members in self.roles.items():
            assert self.found(key) == members
            # Without an owner is only a group in which nobody can sign in.
            assert Role.OWNER in members.values() or not members.keys() - self.off
        details = self.run(self._memberships.details(sorted(self.roles), PEOPLE[0]))
        assert isinstance(details, dict)
        assert {key: one.count for key, one in details.items()} == {
            key: len(members) for key, members in self.roles.items()
        }
        for name in PEOPLE:
            joined = self.run(self._memberships.of_user(name))
            assert isinstance(joined, list)
            private = {
                key for pair, key in self.pairs.items() if name in pair and name not in self.erased
            }
            mine = {key for key, members in self.roles.items() if name in members}
            assert {one.conversation_id for one in joined} == mine | private


TestGroups = pytest.mark.slow(Groups.TestCase)
TestGroups.settings = settings(
    max_examples=30,
    stateful_step_count=20,
)
