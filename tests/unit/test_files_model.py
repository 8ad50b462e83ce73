"""Any order of what people and gateways do to uploads and files, against a model of them."""

import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from chat4all.adapters.sql import sql_people
from chat4all.domain.errors import Busy, Conflict, Fenced, NotFound, QuotaReached, Refused
from chat4all.domain.file_uses import CHECK_AGAIN_SECONDS, CHECK_SECONDS
from chat4all.domain.files import (
    GARBAGE_SECONDS,
    LATE_SECONDS,
    LEASE_SECONDS,
    UPLOAD_SECONDS,
    FileFacts,
    FileId,
    FileState,
    FileUse,
    Quota,
)
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.people import Role
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_uploads import aged, new_upload, progress_of
from tests.machines import PlaceMachine

T = TypeVar("T")

PEOPLE, ROOT = [ANA, BRUNO, CARLA], Username("root")
QUOTA = Quota(of_user=12, uploads_of_user=3)
FACTS = FileFacts("a" * 64, "image/png")
people = st.sampled_from(PEOPLE)
some = st.integers(0, 7)


@dataclass
class Known:
    """What must be true of a file."""

    owner: Username
    size: int
    received: int = 0
    fence: int = 0
    is_held: bool = False
    is_whole: bool = False
    uses: set[tuple[ConversationId, MessageId, Username]] = field(default_factory=set)
    is_gone: bool = False
    given_for: int = 0
    """Seconds for which nobody else gets it to delete it."""
    is_emptied: bool = False


class Files(PlaceMachine):
    """`files` is what must be true, and `chats` who is in which conversation."""

    def __init__(self) -> None:
        super().__init__()
        ports = sql_people(self.place.database)
        self._users, self._directory = ports.users, ports.directory
        self._uploads, self._files, self._uses = ports.uploads, ports.files, ports.file_uses
        self.known: dict[FileId, Known] = {}
        self.chats: dict[ConversationId, set[Username]] = {}
        self.erased: set[Username] = set()
        for name in (*PEOPLE, ROOT):
            self.run(self._users.add_user(user(name), b""))
        for _ in range(2):
            self.talk()

    def talk(self) -> None:
        there = [name for name in PEOPLE if name not in self.erased]
        made = self.run(self._directory.add_conversation(group(ROOT, *there)))
        self.chats[made.conversation_id] = set(there)

    def one(self, number: int) -> tuple[FileId, Known]:
        file_id = sorted(self.known)[number % len(self.known)]
        return file_id, self.known[file_id]

    def mine(self, owner: Username) -> list[Known]:
        return [one for one in self.known.values() if one.owner == owner and not one.is_gone]

    def may_have(self, one: Known, who: Username) -> bool:
        if one.is_gone or not one.is_whole:
            return False
        return who == one.owner or any(who in self.chats[chat] for chat, _, _ in one.uses)

    @rule(owner=people, size=st.integers(0, 5))
    def create(self, owner: Username, size: int) -> None:
        mine = self.mine(owner)
        expected: type[Refused] | None = None
        if owner in self.erased:
            expected = NotFound
        elif (
            sum(not one.is_whole for one in mine) >= QUOTA.uploads_of_user
            or sum(one.size for one in mine) + size > 12
        ):
            expected = QuotaReached
        new = new_upload(owner, size)
        assert self.tried(self._uploads.create(new, QUOTA)) == expected
        if expected is None:
            self.known[new.file_id] = Known(owner, size)

    @precondition(lambda self: self.known)
    @rule(number=some, who=people, force=st.booleans())
    def take(self, number: int, who: Username, force: bool) -> None:
        file_id, one = self.one(number)
        expected: type[Refused] | None = None
        if one.is_gone or who != one.owner:
            expected = NotFound
        elif one.is_held and (not force or one.received == one.size):
            expected = Busy
        assert self.tried(self._uploads.take(file_id, who, force=force)) == expected
        if expected is None and not one.is_whole:
            one.fence += 1
            one.is_held = True

    @precondition(lambda self: self.known)
    @rule(number=some, late=st.integers(0, 1), offset=st.integers(0, 6))
    def advance(self, number: int, late: int, offset: int) -> None:
        file_id, one = self.one(number)
        expected = self.fenced(one, late)
        if expected is None and not one.is_whole and offset > one.size:
            expected = Conflict
        progress = progress_of(offset)
        assert self.tried(self._uploads.advance(file_id, one.fence - late, progress)) == expected
        if expected is None and not one.is_whole:
            one.received = max(one.received, offset)
            one.is_held = True

    @precondition(lambda self: self.known)
    @rule(number=some, late=st.integers(0, 1), again=st.booleans())
    def finish(self, number: int, late: int, again: bool) -> None:
        file_id, one = self.one(number)
        expected = self.fenced(one, late)
        if expected is None and one.received != one.size:
            expected = Conflict
        for _ in range(1 + again):
            finish = self._uploads.finish(file_id, one.fence - late, FACTS, FileState.READY)
            assert self.tried(finish) == expected
        if expected is None:
            one.is_whole, one.is_held = True, False

    @precondition(lambda self: self.known)
    @rule(number=some, late=st.integers(0, 1))
    def release(self, number: int, late: int) -> None:
        file_id, one = self.one(number)
        assert self.tried(self._uploads.release(file_id, one.fence - late)) is None
        if not late:
            one.is_held = False

    def fenced(self, one: Known, late: int) -> type[Refused] | None:
        if one.is_gone:
            return NotFound
        return Fenced if late else None

    @precondition(lambda self: self.known)
    @rule(number=some, who=people)
    def end(self, number: int, who: Username) -> None:
        file_id, one = self.one(number)
        expected: type[Refused] | None = None
        if one.is_gone or who != one.owner:
            expected = NotFound
        elif one.uses:
            expected = Conflict
        assert self.tried(self._uploads.end(file_id, who)) == expected
        one.is_gone = one.is_gone or expected is None

    @precondition(lambda self: self.known)
    @rule(number=some, chat=some, who=people, again=st.booleans())
    def attach(self, number: int, chat: int, who: Username, again: bool) -> None:
        file_id, one = self.one(number)
        there, members = sorted(self.chats.items())[chat % len(self.chats)]
        use = FileUse(file_id, there, MessageId(str(uuid.uuid4())), who)
        expected = None if self.may_have(one, who) and who in members else NotFound
        for _ in range(1 + again):
            assert self.tried(self._files.attach(use)) == expected
        if expected is None:
            one.uses.add((there, use.message_id, who))

    @rule(named=st.lists(st.booleans(), min_size=4, max_size=4), again=some)
    def compare_with_messages(self, named: list[bool], again: int) -> None:
        """Settle all that is in doubt, but a use of which its message is sent once more."""
        self.run(aged(self.place, CHECK_SECONDS, ["file_uses"]))
        given = self.run(self._uses.doubtful(100))
        for number, doubtful in enumerate(given):
            use, is_named = doubtful.use, named[number % len(named)]
            one = self.known[use.file_id]
            assert use[1:] in one.uses
            is_sent = (
                number == again
                and self.may_have(one, use.sender_id)
                and use.sender_id in self.chats[use.conversation_id]
            )
            if is_sent:
                assert self.tried(self._files.attach(use)) is None
            self.run(self._uses.settle(doubtful, is_named=is_named))
            if not is_named and not is_sent:
                one.uses.remove(use[1:])
        self.run(aged(self.place, 2 * CHECK_AGAIN_SECONDS, ["file_uses"]))
        assert self.run(self._uses.doubtful(100)) == []

    @precondition(lambda self: any(one.uses for one in self.known.values()))
    @rule(number=some)
    def delete_a_message(self, number: int) -> None:
        used = sorted(file_id for file_id, one in self.known.items() if one.uses)
        one = self.known[used[number % len(used)]]
        use = min(one.uses)
        assert self.tried(self._files.detach(*use)) is None
        one.uses.remove(use)
        one.is_gone = not one.uses

    @rule(chat=some, who=people)
    def leave_or_join(self, chat: int, who: Username) -> None:
        there, members = sorted(self.chats.items())[chat % len(self.chats)]
        if who in self.erased:
            return
        if who in members:
            self.run(self._directory.remove_member(there, who))
        else:
            self.run(self._directory.add_member(there, who, Role.MEMBER))
        members ^= {who}

    @rule(chat=some)
    def delete_a_conversation(self, chat: int) -> None:
        there = sorted(self.chats)[chat % len(self.chats)]
        self.run(self._directory.delete_conversation(there))
        for one in self.known.values():
            one.uses = {use for use in one.uses if use[0] != there}
        del self.chats[there]
        self.talk()

    @precondition(lambda self: not self.erased)
    @rule(who=st.just(CARLA), really=some)
    def erase(self, who: Username, really: int) -> None:
        if really:
            return
        self.run(self._users.erase_user(who))
        self.erased.add(who)
        for members in self.chats.values():
            members.discard(who)
        for one in self.mine(who):
            one.is_gone, one.uses = True, set()

    @rule()
    def leases_end(self) -> None:
        self.pass_time(LEASE_SECONDS)

    @rule()
    def a_minute_passes(self) -> None:
        self.pass_time(GARBAGE_SECONDS)

    @rule()
    def a_day_passes(self) -> None:
        self.pass_time(UPLOAD_SECONDS)
        for one in self.known.values():
            one.is_gone = one.is_gone or not one.uses

    def pass_time(self, seconds: int) -> None:
        self.run(aged(self.place, seconds, ["files"]))
        for one in self.known.values():
            one.is_held, one.given_for = False, max(0, one.given_for - seconds)

    @rule(limit=st.integers(1, 4), kill=st.booleans())
    def collect(self, limit: int, kill: bool) -> None:
        free = {key for key, one in self.known.items() if one.is_gone and not one.given_for}
        given = self.run(self._files.garbage(limit))
        assert len(given) == min(limit, len(free))
        for garbage in given:
            one = self.known[garbage.file_id]
            assert garbage.file_id in free
            assert (garbage.store_upload is None) == one.is_whole
            one.given_for = GARBAGE_SECONDS
        # Also of what is there, which changes nothing.
        self.run(self._files.forget([key for key, one in self.known.items() if not one.is_gone]))
        if not kill:
            self.run(self._files.forget([one.file_id for one in given]))
            for garbage in given:
                if self.known[garbage.file_id].is_emptied:
                    del self.known[garbage.file_id]
                else:
                    one = self.known[garbage.file_id]
                    one.is_emptied, one.given_for = True, LATE_SECONDS

    @invariant()
    def what_is_known_is_what_must_be(self) -> None:
        self.run(self.look())

    async def look(self) -> None:
        for file_id, one in self.known.items():
            found = {who for who in PEOPLE if await self.is_found(self._files.find(file_id, who))}
            assert found == {who for who in PEOPLE if self.may_have(one, who)}
            assert await self.is_found(self._uploads.find(file_id, one.owner)) != one.is_gone
            if one.is_gone:
                continue
            upload = await self._uploads.find(file_id, one.owner)
            assert upload.fence == one.fence
            assert upload.progress.offset == (one.size if one.is_whole else one.received)
            assert (upload.state is FileState.READY) == one.is_whole
            assert (upload.expires_at == 0) == bool(one.uses)
        for name in PEOPLE:
            assert await self._files.used(name) == sum(one.size for one in self.mine(name))

    async def is_found(self, finding: Awaitable[object]) -> bool:
        try:
            await finding
        except NotFound:
            return False
        return True


TestFiles = pytest.mark.thorough(Files.TestCase)
TestFiles.settings = settings(max_examples=20, stateful_step_count=25)
