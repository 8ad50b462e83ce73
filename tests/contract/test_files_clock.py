"""The contract of `ports.files.Files` where the clock was ahead and was set right."""

import pytest

from chat4all.adapters.sql import SqlFiles
from chat4all.adapters.sql import files as sql_files
from chat4all.adapters.sql.outbox import now_ms
from chat4all.domain.files import GARBAGE_SECONDS, LATE_SECONDS, UPLOAD_SECONDS, FileId, Quota
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.files import Files, Uploads
from chat4all.ports.people import PeoplePorts
from chat4all.ports.users import AllUsers
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_files_known import detach, garbage_of, use_of
from tests.contract.test_sharing import deleted_by, shared
from tests.contract.test_uploads import FREE, SETTINGS, aged, new_upload, whole
from tests.databases import Place

pytestmark = [pytest.mark.anyio, SETTINGS]

A_YEAR = 365 * 24 * 3_600


@pytest.fixture(autouse=True)
async def _people(known: PeoplePorts) -> None:
    for name in (ANA, BRUNO, CARLA):
        await known.users.add_user(user(name), b"")


async def collect(files: Files) -> list[FileId]:
    found = await garbage_of(files)
    await files.forget(found)
    return found


async def test_what_was_given_up_is_deleted_now(
    uploads: Uploads,
    files: Files,
    users: AllUsers,
    directory: AnsweringDirectory,
    place: Place,
) -> None:
    """Or else its bytes stay, and count, until the clock is there again."""
    chat = (await directory.add_conversation(group(ANA, BRUNO))).conversation_id
    ended, erased, named = await whole(uploads, BRUNO), await whole(uploads), await whole(uploads)
    unfinished = (await uploads.create(new_upload(BRUNO), FREE)).file_id
    use = use_of(named, chat)
    await files.attach(use)
    await detach(files, use)
    for one in (ended, unfinished):
        await uploads.end(one, BRUNO)
    await users.erase_user(ANA)
    await aged(place, -A_YEAR)
    assert sorted(await collect(files)) == sorted([ended, erased, named, unfinished])
    await uploads.create(new_upload(BRUNO, 10), Quota(in_all=10))


async def test_what_was_given_to_be_deleted_is_given_again(
    uploads: Uploads, files: Files, place: Place
) -> None:
    file_id = await whole(uploads)
    await aged(place, UPLOAD_SECONDS)
    assert await garbage_of(files) == [file_id]  # to one that was killed
    await aged(place, -4)
    assert await garbage_of(files) == []
    await aged(place, -A_YEAR)
    assert await garbage_of(files) == [file_id]
    await aged(place, GARBAGE_SECONDS + 1)
    assert await garbage_of(files) == [file_id]


async def test_what_was_deleted_is_deleted_once_more_and_forgotten(
    uploads: Uploads, files: Files, place: Place
) -> None:
    file_id = await whole(uploads)
    await uploads.end(file_id, ANA)
    assert await collect(files) == [file_id]
    await aged(place, -A_YEAR)
    assert await collect(files) == [file_id]
    await aged(place, LATE_SECONDS - 60)
    assert await collect(files) == []
    await aged(place, 60)
    assert await collect(files) == [file_id]
    await aged(place, UPLOAD_SECONDS)
    assert await collect(files) == []


async def test_with_a_file_goes_the_object_that_it_had(known: PeoplePorts, place: Place) -> None:
    _, second, key, own = await shared(known)
    await known.uploads.end(second, BRUNO)
    assert [one.file_id for one in await known.files.garbage(1)] == [second]
    await aged(place, -A_YEAR)
    deleted = await deleted_by(known)
    assert own in deleted
    assert key not in deleted


async def test_nothing_is_deleted_while_the_clock_is_ahead(
    uploads: Uploads, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what was given up, whatever the clock says."""
    files = SqlFiles(place.database)
    assert await garbage_of(files) == []
    kept, ended = await whole(uploads), await whole(uploads)
    unfinished = (await uploads.create(new_upload(), FREE)).file_id
    await uploads.end(ended, ANA)
    ahead = 2 * UPLOAD_SECONDS * 1_000
    monkeypatch.setattr(sql_files, "now_ms", lambda connection: now_ms(connection) + ahead)
    assert await garbage_of(files) == [ended]
    monkeypatch.undo()
    assert await garbage_of(files) == []
    for one in (kept, unfinished):
        assert (await uploads.find(one, ANA)).file_id == one
    await aged(place, 2 * UPLOAD_SECONDS)
    assert await garbage_of(files) == [ended]  # it was set right a moment ago
    assert sorted(await garbage_of(SqlFiles(place.database))) == sorted([kept, unfinished])
