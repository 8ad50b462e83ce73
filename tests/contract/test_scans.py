"""The contract of `ports.scanning.Scans`: which files wait for a scan, and what becomes of them."""

import uuid

import pytest

from chat4all.domain.errors import NotFound
from chat4all.domain.files import (
    UPLOAD_SECONDS,
    FileId,
    FileState,
    PictureFacts,
)
from chat4all.domain.scanning import SCAN_LEASE_SECONDS, UNSCANNED_SECONDS, Verdict
from chat4all.ports.people import PeoplePorts
from tests.contract.test_directory import ANA, BRUNO, user
from tests.contract.test_uploads import SETTINGS, aged, whole
from tests.databases import Place

pytestmark = [pytest.mark.anyio, SETTINGS]


@pytest.fixture(autouse=True)
async def _people(known: PeoplePorts) -> None:
    for name in (ANA, BRUNO):
        await known.users.add_user(user(name), b"")


async def waiting(known: PeoplePorts) -> FileId:
    return await whole(known.uploads, state=FileState.CHECKING)


async def taken(known: PeoplePorts, limit: int = 10) -> list[FileId]:
    return [file.file_id for file in await known.scans.take(limit)]


async def test_a_file_is_given_to_one_for_a_minute(known: PeoplePorts, place: Place) -> None:
    await whole(known.uploads)
    first, second = await waiting(known), await waiting(known)
    assert await taken(known) == []  # those who finished them have them
    await aged(place, SCAN_LEASE_SECONDS + 1)
    assert await taken(known, 1) == [first]
    assert await taken(known) == [second]
    await aged(place, SCAN_LEASE_SECONDS + 1)
    await known.scans.renew(first)
    assert await taken(known) == [second]
    await aged(place, SCAN_LEASE_SECONDS + 1)
    assert await taken(known) == [first, second]


async def test_files_of_those_who_have_enough_go_on_waiting(
    known: PeoplePorts, place: Place
) -> None:
    of_ana = await waiting(known)
    of_bruno = await whole(known.uploads, owner=BRUNO, state=FileState.CHECKING)
    await aged(place, SCAN_LEASE_SECONDS + 1)
    assert await known.scans.take(10, [ANA, BRUNO]) == []
    assert [file.file_id for file in await known.scans.take(1, [ANA])] == [of_bruno]
    assert await taken(known) == [of_ana]


async def test_what_waits_is_counted_whoever_has_it(known: PeoplePorts, place: Place) -> None:
    assert await known.scans.waiting() == 0
    await whole(known.uploads)
    clean, ended, third = [await waiting(known) for _ in range(3)]
    assert await known.scans.waiting() == 3
    await aged(place, SCAN_LEASE_SECONDS + 1)
    await taken(known, 1)
    assert await known.scans.waiting() == 3
    await known.scans.settle(clean, Verdict())
    await known.uploads.end(ended, ANA)
    assert await known.scans.waiting() == 1
    await known.scans.settle(third, Verdict("Worm"))
    assert await known.scans.waiting() == 0


async def test_the_first_verdict_counts(known: PeoplePorts, place: Place) -> None:
    file_id = await waiting(known)
    seen = PictureFacts(30, 20, "LEHV6nWB2yk8pyo0adR*.7kCMdnj")
    ready = await known.scans.settle(file_id, Verdict(None, seen))
    assert ready is not None
    assert (ready.state, ready.facts.width, ready.facts.height) == (FileState.READY, 30, 20)
    assert await known.scans.settle(file_id, Verdict("Worm")) == ready
    assert await known.files.find(file_id, ANA) == ready
    await known.scans.renew(file_id)
    await aged(place, SCAN_LEASE_SECONDS + 1)
    assert await taken(known) == []


async def test_what_is_refused_is_known_to_its_uploader_for_a_day(
    known: PeoplePorts, place: Place
) -> None:
    file_id = await waiting(known)
    refused = await known.scans.settle(file_id, Verdict("Worm"))
    assert refused is not None
    assert refused.state is FileState.REFUSED
    assert (await known.files.find(file_id, ANA)).state is FileState.REFUSED
    with pytest.raises(NotFound):
        await known.files.find(file_id, BRUNO)
    await aged(place, UPLOAD_SECONDS + 1)
    assert [garbage.file_id for garbage in await known.files.garbage(10)] == [file_id]


async def test_what_is_gone_or_not_whole_is_left_alone(known: PeoplePorts) -> None:
    file_id = await waiting(known)
    await known.uploads.end(file_id, ANA)
    for gone in (file_id, FileId(str(uuid.uuid4()))):
        assert await known.scans.settle(gone, Verdict()) is None
        await known.scans.renew(gone)


async def test_a_file_waits_for_days(known: PeoplePorts, place: Place) -> None:
    file_id = await waiting(known)
    await aged(place, UNSCANNED_SECONDS - 60)
    assert await taken(known) == [file_id]
    assert await known.files.garbage(10) == []
    ready = await known.scans.settle(file_id, Verdict())
    assert ready is not None
    await aged(place, UPLOAD_SECONDS - 60)  # and has as long as any other to be sent
    assert await known.files.garbage(10) == []


async def test_a_clock_that_was_ahead_holds_no_file_back(known: PeoplePorts, place: Place) -> None:
    """Fails when a file that was tried while it was ahead waits until the clock is there again."""
    file_id = await waiting(known)
    await aged(place, -4)  # by so much, a transaction may be older than the one that has taken it
    assert await taken(known) == []
    await aged(place, -7_200)
    assert await taken(known) == [file_id]
    assert await taken(known) == []
