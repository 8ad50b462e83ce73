"""The contract of `ports.files.Uploads`: progress, who may write, and quotas."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from chat4all.adapters.sql import SqlUsers
from chat4all.domain.errors import (
    AlreadyTaken,
    Busy,
    Conflict,
    Fenced,
    NotFound,
    NotSignedIn,
    QuotaReached,
)
from chat4all.domain.files import (
    LEASE_SECONDS,
    UNUSED_SECONDS,
    UPLOAD_SECONDS,
    URLS_UNUSED_SECONDS,
    FileFacts,
    FileId,
    FileState,
    NewUpload,
    Progress,
    Quota,
    StoredPart,
    Tail,
    tail_key,
)
from chat4all.domain.ids import Username
from chat4all.ports.files import Files, Uploads
from chat4all.ports.people import PeoplePorts
from tests.contract.test_directory import ANA, BRUNO, user
from tests.databases import Place

ON_A_SERVER = [pytest.mark.slow, pytest.mark.engines]
# Nothing of files is cached: to ask through the caches shows that, and is enough.
SETTINGS = pytest.mark.parametrize(
    "setting",
    [
        pytest.param(("sqlite", "asked"), id="sqlite"),
        pytest.param(
            ("sqlite", "by HTTP, cached"), id="sqlite, by HTTP", marks=pytest.mark.thorough
        ),
        pytest.param(("postgresql", "asked"), id="postgresql", marks=ON_A_SERVER),
        pytest.param(("cockroachdb", "asked"), id="cockroachdb", marks=ON_A_SERVER),
    ],
    indirect=True,
)

pytestmark = [pytest.mark.anyio, SETTINGS]

FREE = Quota()
FACTS = FileFacts("a" * 64, "image/png", 640, 480, "LEHV6nWB2yk8pyo0adR*.7kCMdnj")


def new_upload(owner: Username = ANA, size: int = 10) -> NewUpload:
    file_id = FileId(str(uuid.uuid4()))
    return NewUpload(
        file_id,
        owner,
        size,
        "Férias 🎉.png",
        "image/png",
        f"f/{file_id}",
        "the store's",
        "name Rg==",
    )


def progress_of(*sizes: int, tail: Tail | None = None) -> Progress:
    parts = [StoredPart(32 * n + 2, size, f"etag {n}") for n, size in enumerate(sizes)]
    return Progress(parts, tail)


async def whole(
    uploads: Uploads,
    owner: Username = ANA,
    size: int = 10,
    state: FileState = FileState.READY,
    *,
    facts: FileFacts = FACTS,
) -> FileId:
    """Upload a file."""
    file_id = (await uploads.create(new_upload(owner, size), FREE)).file_id
    taken = await uploads.take(file_id, owner, force=False)
    await uploads.advance(file_id, taken.fence, progress_of(size))
    await uploads.finish(file_id, taken.fence, facts, state)
    return file_id


TIMES = {
    "files": ("created_at", "expires_at", "lease_until", "given_until", "emptied_at", "scan_at"),
    "file_uses": ("check_at",),
}


async def aged(place: Place, seconds: int, tables: Sequence[str] = tuple(TIMES)) -> None:
    """Let time pass for every file, and for every message that names one."""
    ms = seconds * 1_000

    def age(connection: Connection) -> None:
        for table in tables:
            changes = ", ".join(f"{column} = {column} - {ms}" for column in TIMES[table])
            connection.exec_driver_sql(f"UPDATE {table} SET {changes}")

    await place.database.write(age)


@pytest.fixture(autouse=True)
async def _people(known: PeoplePorts) -> None:
    for name in (ANA, BRUNO):
        await known.users.add_user(user(name), b"")


async def test_an_upload_becomes_a_file(uploads: Uploads, files: Files) -> None:
    new = new_upload()
    begun = await uploads.create(new, FREE)
    assert (begun.file_id, begun.owner, begun.size, begun.name) == (
        new.file_id,
        ANA,
        10,
        "Férias 🎉.png",
    )
    assert (begun.media_type, begun.key, begun.store_upload, begun.metadata) == (
        "image/png",
        new.key,
        "the store's",
        "name Rg==",
    )
    assert (begun.state, begun.progress.offset) == (FileState.UPLOADING, 0)
    assert await uploads.find(new.file_id, ANA) == begun
    taken = await uploads.take(new.file_id, ANA, force=False)
    assert taken.fence > begun.fence
    tail = Tail(tail_key(new.key, taken.fence), 3)
    await uploads.advance(new.file_id, taken.fence, progress_of(4, tail=tail))
    found = await uploads.find(new.file_id, ANA)
    assert (list(found.progress.parts), found.progress.tail) == ([StoredPart(2, 4, "etag 0")], tail)
    await uploads.advance(new.file_id, taken.fence, progress_of(4, 6))
    made = await uploads.finish(new.file_id, taken.fence, FACTS, FileState.CHECKING)
    assert made == await files.find(new.file_id, ANA)
    assert (made.owner, made.size, made.name, made.key) == (ANA, 10, "Férias 🎉.png", new.key)
    assert (made.facts, made.state) == (FACTS, FileState.CHECKING)
    assert made.created_at > 1_600_000_000_000
    found = await uploads.find(new.file_id, ANA)
    assert (found.state, found.progress.offset) == (FileState.CHECKING, 10)


@pytest.mark.parametrize("force", [False, True])
async def test_what_is_a_file_is_taken_by_nobody(uploads: Uploads, force: bool) -> None:
    """Else whoever asks for it would put off its end, and keep others from it."""
    found = await uploads.find(await whole(uploads), ANA)
    for _ in range(2):
        assert await uploads.take(found.file_id, ANA, force=force) == found
    assert await uploads.find(found.file_id, ANA) == found


async def test_an_empty_file(uploads: Uploads) -> None:
    new = new_upload(size=0)
    await uploads.create(new, FREE)
    fence = (await uploads.take(new.file_id, ANA, force=False)).fence
    assert (await uploads.finish(new.file_id, fence, FACTS, FileState.READY)).size == 0
    assert (await uploads.find(new.file_id, ANA)).progress.offset == 0


async def test_what_is_not_whole_is_no_file(uploads: Uploads, files: Files) -> None:
    new = new_upload()
    await uploads.create(new, FREE)
    fence = (await uploads.take(new.file_id, ANA, force=False)).fence
    await uploads.advance(new.file_id, fence, progress_of(9))
    with pytest.raises(Conflict):
        await uploads.finish(new.file_id, fence, FACTS, FileState.READY)
    with pytest.raises(Conflict):
        await uploads.advance(new.file_id, fence, progress_of(9, 2))
    with pytest.raises(NotFound):
        await files.find(new.file_id, ANA)
    assert (await uploads.find(new.file_id, ANA)).progress.offset == 9


async def test_nobody_else_knows_of_it(uploads: Uploads) -> None:
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    for another in (file_id, FileId(str(uuid.uuid4()))):
        with pytest.raises(NotFound):
            await uploads.find(another, BRUNO)
        with pytest.raises(NotFound):
            await uploads.take(another, BRUNO, force=True)
        with pytest.raises(NotFound):
            await uploads.end(another, BRUNO)
    assert (await uploads.find(file_id, ANA)).fence == 0


async def test_beginning_again_returns_what_was_begun(uploads: Uploads) -> None:
    new = new_upload(size=5)
    quota = Quota(of_user=5, uploads_of_user=1)
    first = await uploads.create(new, quota)
    await uploads.take(new.file_id, ANA, force=False)
    again = await uploads.create(new, quota)
    assert (again.file_id, again.fence) == (first.file_id, 1)
    for other in (replace(new, store_upload="another"), replace(new, owner=BRUNO)):
        with pytest.raises(AlreadyTaken):
            await uploads.create(other, quota)


async def test_who_cannot_sign_in_begins_nothing(uploads: Uploads, place: Place) -> None:
    await SqlUsers(place.database).disable_user(ANA)
    with pytest.raises(NotSignedIn):
        await uploads.create(new_upload(), FREE)
    with pytest.raises(NotFound):
        await uploads.create(new_upload(Username("nobody")), FREE)


async def test_who_is_disabled_meanwhile_goes_on_with_nothing(
    uploads: Uploads, files: Files, place: Place
) -> None:
    """Else what was begun before goes on for as long as it takes, and becomes a file."""
    new, operator = new_upload(), SqlUsers(place.database)
    await uploads.create(new, FREE)
    fence = (await uploads.take(new.file_id, ANA, force=False)).fence
    await uploads.advance(new.file_id, fence, progress_of(4))
    await operator.disable_user(ANA)
    for force in (False, True):
        with pytest.raises(NotSignedIn):
            await uploads.take(new.file_id, ANA, force=force)
    with pytest.raises(NotSignedIn):
        await uploads.advance(new.file_id, fence, progress_of(4, 6))
    with pytest.raises(NotSignedIn):
        await uploads.end(new.file_id, ANA)
    await operator.disable_user(ANA, disabled=False)
    await uploads.advance(new.file_id, fence, progress_of(4, 6))
    await operator.disable_user(ANA)
    with pytest.raises(NotSignedIn):
        await uploads.finish(new.file_id, fence, FACTS, FileState.READY)
    await uploads.release(new.file_id, fence)  # nobody has to wait for it later
    await operator.disable_user(ANA, disabled=False)
    again = await uploads.take(new.file_id, ANA, force=False)
    assert (again.state, again.progress.offset) == (FileState.UPLOADING, 10)
    made = await uploads.finish(new.file_id, again.fence, FACTS, FileState.READY)
    assert made == await files.find(new.file_id, ANA)


async def test_a_second_writer_waits_until_the_first_lets_go(uploads: Uploads) -> None:
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    first = await uploads.take(file_id, ANA, force=False)
    with pytest.raises(Busy):
        await uploads.take(file_id, ANA, force=False)
    await uploads.release(file_id, first.fence)
    second = await uploads.take(file_id, ANA, force=False)
    assert second.fence > first.fence
    # Of those who were before, none lets go for the second.
    await uploads.release(file_id, first.fence)
    with pytest.raises(Busy):
        await uploads.take(file_id, ANA, force=False)
    assert (await uploads.find(file_id, ANA)).fence == second.fence


async def test_of_two_who_take_it_at_once_one_gets_it(uploads: Uploads) -> None:
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    found = await asyncio.gather(
        *(uploads.take(file_id, ANA, force=False) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["Busy"] * 4 + ["Upload"]
    forced = await asyncio.gather(*(uploads.take(file_id, ANA, force=True) for _ in range(5)))
    assert sorted(one.fence for one in forced) == [2, 3, 4, 5, 6]


async def test_who_was_taken_away_from_changes_nothing(uploads: Uploads) -> None:
    """A take between two advances."""
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    old = (await uploads.take(file_id, ANA, force=False)).fence
    await uploads.advance(file_id, old, progress_of(4))
    new = await uploads.take(file_id, ANA, force=True)
    assert new.progress.offset == 4
    with pytest.raises(Fenced):
        await uploads.advance(file_id, old, progress_of(10))
    with pytest.raises(Fenced):
        await uploads.finish(file_id, old, FACTS, FileState.READY)
    assert (await uploads.find(file_id, ANA)).progress.offset == 4
    await uploads.advance(file_id, new.fence, progress_of(4, 6))
    await uploads.finish(file_id, new.fence, FACTS, FileState.READY)
    with pytest.raises(Fenced):
        await uploads.finish(file_id, old, FACTS, FileState.READY)
    assert (await uploads.find(file_id, ANA)).progress.offset == 10


async def test_what_comes_late_takes_nothing_back(uploads: Uploads) -> None:
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    fence = (await uploads.take(file_id, ANA, force=False)).fence
    for ahead in (progress_of(4, 4), progress_of(4), progress_of(3, 5), Progress()):
        await uploads.advance(file_id, fence, ahead)
        assert [*(await uploads.find(file_id, ANA)).progress.parts] == [
            StoredPart(2, 4, "etag 0"),
            StoredPart(34, 4, "etag 1"),
        ]


async def test_a_holder_without_a_sign_of_life_loses_it(uploads: Uploads, place: Place) -> None:
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    dead = (await uploads.take(file_id, ANA, force=False)).fence
    await aged(place, LEASE_SECONDS - 5)
    with pytest.raises(Busy):
        await uploads.take(file_id, ANA, force=False)
    await uploads.advance(file_id, dead, Progress())
    await aged(place, LEASE_SECONDS - 5)
    with pytest.raises(Busy):
        await uploads.take(file_id, ANA, force=False)
    await aged(place, 6)
    assert (await uploads.take(file_id, ANA, force=False)).fence == dead + 1
    with pytest.raises(Fenced):
        await uploads.advance(file_id, dead, progress_of(4))


async def test_a_finish_is_not_taken_from_who_does_it(uploads: Uploads, place: Place) -> None:
    """Fails when each gateway that is asked repeats the work of the one before."""
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    first = (await uploads.take(file_id, ANA, force=False)).fence
    await uploads.advance(file_id, first, progress_of(10))
    with pytest.raises(Busy, match="being finished"):
        await uploads.take(file_id, ANA, force=True)
    await uploads.release(file_id, first)
    second = (await uploads.take(file_id, ANA, force=True)).fence
    with pytest.raises(Busy):
        await uploads.take(file_id, ANA, force=True)
    await aged(place, LEASE_SECONDS + 1)  # it was killed
    third = (await uploads.take(file_id, ANA, force=True)).fence
    assert first < second < third
    with pytest.raises(Fenced):
        await uploads.finish(file_id, second, FACTS, FileState.READY)
    await uploads.finish(file_id, third, FACTS, FileState.READY)


async def test_a_clock_that_is_set_back_holds_nothing(uploads: Uploads, place: Place) -> None:
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    await uploads.take(file_id, ANA, force=False)
    # By so much, a transaction may be older than the one that has taken it.
    await aged(place, -4)
    with pytest.raises(Busy):
        await uploads.take(file_id, ANA, force=False)
    await aged(place, -3_600)
    await uploads.take(file_id, ANA, force=False)


async def test_finishing_again_returns_the_file(uploads: Uploads) -> None:
    """The answer was lost, and the file is found by the same holder, and by the next one."""
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    fence = (await uploads.take(file_id, ANA, force=False)).fence
    await uploads.advance(file_id, fence, progress_of(10))
    made = await uploads.finish(file_id, fence, FACTS, FileState.READY)
    assert await uploads.finish(file_id, fence, FACTS, FileState.READY) == made
    taken = await uploads.take(file_id, ANA, force=True)
    assert (taken.state, taken.progress.offset) == (FileState.READY, 10)
    other = replace(FACTS, sha256="b" * 64)
    assert await uploads.finish(file_id, taken.fence, other, FileState.CHECKING) == made
    await uploads.advance(file_id, taken.fence, progress_of(3))  # it is a file by now
    await uploads.release(file_id, taken.fence)
    assert (await uploads.find(file_id, ANA)).progress.offset == 10


async def test_an_upload_expires(uploads: Uploads, place: Place) -> None:
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    fence = (await uploads.take(file_id, ANA, force=False)).fence
    before = (await uploads.find(file_id, ANA)).expires_at
    await aged(place, UPLOAD_SECONDS - 60)
    await uploads.advance(file_id, fence, progress_of(1))
    assert (await uploads.find(file_id, ANA)).expires_at >= before
    await aged(place, UPLOAD_SECONDS - 60)
    # What was just taken can be written to.
    await aged(place, 59)
    fence = (await uploads.take(file_id, ANA, force=True)).fence
    await aged(place, LEASE_SECONDS - 5)
    await uploads.advance(file_id, fence, progress_of(2))
    await aged(place, UPLOAD_SECONDS)
    await is_gone(uploads, file_id, fence)


@pytest.mark.parametrize(
    ("is_direct", "kept"), [(False, UNUSED_SECONDS), (True, URLS_UNUSED_SECONDS)]
)
async def test_an_upload_that_nobody_came_to_know_of_expires_soon(
    uploads: Uploads, place: Place, is_direct: bool, kept: int
) -> None:
    """The answer to its creation was lost: it stands in nobody's way for long."""
    quota = Quota(of_user=25, uploads_of_user=2)
    begun = [replace(new_upload(), is_direct=is_direct) for _ in range(2)]
    lost, heard_of = [(await uploads.create(one, quota)).file_id for one in begun]
    await uploads.take(heard_of, ANA, force=True)
    await aged(place, kept - 60)
    with pytest.raises(QuotaReached):
        await uploads.create(new_upload(), quota)
    await aged(place, 60)
    await uploads.create(new_upload(), quota)
    await is_gone(uploads, lost, 0)
    assert (await uploads.find(heard_of, ANA)).progress.offset == 0
    await aged(place, UPLOAD_SECONDS - kept)
    await is_gone(uploads, heard_of, 1)


async def test_an_upload_that_is_given_up_is_gone_for_ever(uploads: Uploads, place: Place) -> None:
    """Also when the clock is set back."""
    file_id = (await uploads.create(new_upload(), FREE)).file_id
    fence = (await uploads.take(file_id, ANA, force=False)).fence
    await uploads.end(file_id, ANA)
    await aged(place, -3_600)
    await is_gone(uploads, file_id, fence)


async def is_gone(uploads: Uploads, file_id: FileId, fence: int) -> None:
    with pytest.raises(NotFound):
        await uploads.find(file_id, ANA)
    with pytest.raises(NotFound):
        await uploads.take(file_id, ANA, force=True)
    with pytest.raises(NotFound):
        await uploads.advance(file_id, fence, progress_of(3))
    with pytest.raises(NotFound):
        await uploads.finish(file_id, fence, FACTS, FileState.READY)
    with pytest.raises(NotFound):
        await uploads.end(file_id, ANA)
    await uploads.release(file_id, fence)


async def test_the_whole_size_counts_from_the_beginning(
    uploads: Uploads, files: Files, place: Place
) -> None:
    quota = Quota(of_user=20)
    first = await uploads.create(new_upload(size=15), quota)
    assert await files.used(ANA) == 15
    with pytest.raises(QuotaReached, match=r"15 bytes of 20 bytes.*6 bytes.*delete"):
        await uploads.create(new_upload(size=6), quota)
    await uploads.create(new_upload(BRUNO, 20), quota)
    await uploads.create(new_upload(size=5), quota)
    await uploads.end(first.file_id, ANA)
    assert await files.used(ANA) == 5
    await uploads.create(new_upload(size=15), quota)
    await aged(place, UPLOAD_SECONDS)
    assert await files.used(ANA) == 0


async def test_there_is_room_in_all_until_it_is_deleted_from_the_store(
    uploads: Uploads, files: Files
) -> None:
    quota = Quota(in_all=20)
    first = await uploads.create(new_upload(size=15), quota)
    with pytest.raises(QuotaReached, match="no room"):
        await uploads.create(new_upload(BRUNO, 6), quota)
    await uploads.end(first.file_id, ANA)
    with pytest.raises(QuotaReached, match="no room"):
        await uploads.create(new_upload(BRUNO, 6), quota)
    (garbage,) = await files.garbage(10)
    await files.forget([garbage.file_id])
    await uploads.create(new_upload(BRUNO, 20), quota)


async def test_so_many_uploads_may_be_begun(uploads: Uploads) -> None:
    quota = Quota(uploads_of_user=2)
    first, _ = [await uploads.create(new_upload(), quota) for _ in range(2)]
    with pytest.raises(QuotaReached, match="2 uploads"):
        await uploads.create(new_upload(), quota)
    await uploads.create(new_upload(BRUNO), quota)
    fence = (await uploads.take(first.file_id, ANA, force=False)).fence
    await uploads.advance(first.file_id, fence, progress_of(10))
    await uploads.finish(first.file_id, fence, FACTS, FileState.READY)
    await uploads.create(new_upload(), quota)


@pytest.mark.parametrize(
    "quota",
    [Quota(of_user=20), Quota(in_all=20), Quota(uploads_of_user=2)],
    ids=["of a user", "in all", "uploads"],
)
async def test_at_once_no_more_is_begun_than_there_is_room_for(
    uploads: Uploads, quota: Quota
) -> None:
    found = await asyncio.gather(
        *(uploads.create(new_upload(), quota) for _ in range(6)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["QuotaReached"] * 4 + ["Upload"] * 2
