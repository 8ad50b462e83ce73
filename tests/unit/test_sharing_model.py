"""Any order of what happens to files of equal content: what is named is there, all else goes."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from chat4all.adapters.sql import sql_people
from chat4all.domain.files import GARBAGE_SECONDS, FileId, FileState
from chat4all.domain.ids import Username
from chat4all.domain.scanning import UNSCANNED_SECONDS, Verdict
from tests.contract.test_directory import ANA, BRUNO, user
from tests.contract.test_sharing import shared_by
from tests.contract.test_uploads import aged, whole
from tests.machines import PlaceMachine

people = st.sampled_from([ANA, BRUNO])
some = st.integers(0, 7)


@dataclass
class Known:
    """A file that is there."""

    owner: Username
    size: int
    is_ready: bool


class Sharing(PlaceMachine):
    """`known` are the files that are there, and `own` is the object that each was uploaded to.

    `told` is what collectors were told to delete, which each may do at any later time.
    """

    def __init__(self) -> None:
        super().__init__()
        ports = sql_people(self.place.database)
        self._users, self._uploads = ports.users, ports.uploads
        self._files, self._sharing, self._scans = ports.files, ports.sharing, ports.scans
        self.known: dict[FileId, Known] = {}
        self.own: dict[FileId, str] = {}
        self.told: set[str] = set()
        for name in (ANA, BRUNO):
            self.run(self._users.add_user(user(name), b""))

    def teardown(self) -> None:
        self.run(self.collect_all())
        super().teardown()

    @rule(owner=people, size=st.integers(1, 2), is_ready=st.booleans(), then=st.booleans())
    def upload(self, owner: Username, size: int, is_ready: bool, then: bool) -> None:
        state = FileState.READY if is_ready else FileState.CHECKING
        self.run(self.add(owner, size, state))
        if then:
            self.share(2)

    @rule(size=st.integers(1, 2))
    def upload_and_erase(self, size: int) -> None:
        """A user is gone for ever, so each is erased with all that it has."""
        name = Username(f"u{len(self.own)}")
        self.run(self._users.add_user(user(name), b""))
        self.run(self.add(name, size, FileState.READY))
        self.share(2)
        self.run(self._users.erase_user(name))
        self.known = {key: one for key, one in self.known.items() if one.owner != name}

    async def add(self, owner: Username, size: int, state: FileState) -> None:
        file_id = await whole(self._uploads, owner, size, state)
        self.known[file_id] = Known(owner, size, state is FileState.READY)
        self.own[file_id] = (await self._files.find(file_id, owner)).key

    @precondition(lambda self: self.known)
    @rule(number=some)
    def is_clean(self, number: int) -> None:
        file_id = sorted(self.known)[number % len(self.known)]
        self.run(self._scans.settle(file_id, Verdict()))
        self.known[file_id].is_ready = True

    @precondition(lambda self: self.known)
    @rule(number=some, then=st.sampled_from(["nothing", "collect", "collect and be killed"]))
    def end(self, number: int, then: str) -> None:
        file_id = sorted(self.known)[number % len(self.known)]
        self.run(self._uploads.end(file_id, self.known.pop(file_id).owner))
        if then != "nothing":
            self.collect(3, kill="killed" in then)

    @rule(limit=st.integers(1, 2))
    def share(self, limit: int) -> None:
        self.run(shared_by(self._sharing, limit))
        keys: dict[int, set[str]] = {}
        for file_id, one in self.known.items():
            if one.is_ready:
                keys.setdefault(one.size, set()).add(self.run(self.key_of(file_id)))
        assert all(len(some) == 1 for some in keys.values())

    @rule(limit=st.integers(1, 3), kill=st.booleans())
    def collect(self, limit: int, kill: bool) -> None:
        given = self.run(self._files.garbage(limit))
        self.told.update(key for garbage in given for key in garbage.keys)
        if not kill:
            self.run(self._files.forget([garbage.file_id for garbage in given]))

    @rule()
    def a_minute_passes(self) -> None:
        self.run(aged(self.place, GARBAGE_SECONDS))

    @rule()
    def a_week_passes(self) -> None:
        self.run(aged(self.place, UNSCANNED_SECONDS))
        self.known.clear()

    @invariant()
    def what_is_named_is_there(self) -> None:
        for file_id in self.known:
            assert self.run(self.key_of(file_id)) not in self.told

    async def key_of(self, file_id: FileId) -> str:
        return (await self._files.find(file_id, self.known[file_id].owner)).key

    async def collect_all(self) -> None:
        """Every object is given to be deleted in the end."""
        await aged(self.place, UNSCANNED_SECONDS)
        for _ in range(2):
            await aged(self.place, GARBAGE_SECONDS)
            while given := await self._files.garbage(100):
                self.told.update(key for garbage in given for key in garbage.keys)
                await self._files.forget([garbage.file_id for garbage in given])
        assert set(self.own.values()) <= self.told


TestSharing = pytest.mark.thorough(Sharing.TestCase)
TestSharing.settings = settings(max_examples=30, stateful_step_count=20)
