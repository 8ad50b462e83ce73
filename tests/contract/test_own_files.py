"""The contract of `ports.files.Files.own`: what a user has uploaded, page by page."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from chat4all.domain.files import UNUSED_SECONDS, UPLOAD_SECONDS, FileId, FileState
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.own_files import (
    NAMING_MESSAGES_MAX,
    FileOrder,
    FilePlace,
    NamingMessage,
    OwnFile,
)
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.files import Files, Uploads
from chat4all.ports.people import PeoplePorts
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_files_known import detach, use_of
from tests.contract.test_uploads import FACTS, FREE, SETTINGS, aged, new_upload, whole
from tests.databases import Place

pytestmark = [pytest.mark.anyio, SETTINGS]

NEWEST, LARGEST = FileOrder.NEWEST, FileOrder.LARGEST
MANY = 100


@pytest.fixture(autouse=True)
async def _people(known: PeoplePorts) -> None:
    for name in (ANA, BRUNO, CARLA):
        await known.users.add_user(user(name), b"")


@pytest.fixture
async def chat(directory: AnsweringDirectory, _people: None) -> ConversationId:
    return (await directory.add_conversation(group(BRUNO, ANA))).conversation_id


async def own(files: Files, owner: Username = ANA, order: FileOrder = NEWEST) -> Sequence[OwnFile]:
    return await files.own(owner, order, MANY)


async def the_one(files: Files, owner: Username = ANA) -> OwnFile:
    (found,) = await own(files, owner)
    return found


async def test_it_says_of_a_file_what_was_found_and_of_an_upload_what_was_said(
    uploads: Uploads, files: Files, place: Place
) -> None:
    assert await own(files) == []
    new = replace(new_upload(size=7), media_type="text/plain")
    begun = await uploads.create(new, FREE)
    found = await the_one(files)
    assert (found.file_id, found.name, found.size) == (new.file_id, new.name, 7)
    assert (found.media_type, found.state) == ("text/plain", FileState.UPLOADING)
    assert (found.expires_at, found.is_in_use, found.messages) == (begun.expires_at, False, [])
    assert found.expires_at - found.created_at == UNUSED_SECONDS * 1_000
    await aged(place, UNUSED_SECONDS)
    file_id = await whole(uploads)
    found = await the_one(files)
    made = await files.find(file_id, ANA)
    assert (found.file_id, found.name, found.size) == (file_id, made.name, made.size)
    assert (found.media_type, found.state) == (FACTS.media_type, FileState.READY)
    assert found.created_at == made.created_at
    assert found.expires_at - found.created_at == UPLOAD_SECONDS * 1_000


@pytest.mark.parametrize("state", [FileState.CHECKING, FileState.REFUSED])
async def test_what_is_held_back_is_listed_as_it_is(
    uploads: Uploads, files: Files, state: FileState
) -> None:
    file_id = await whole(uploads, state=state)
    found = await the_one(files)
    assert (found.file_id, found.state) == (file_id, state)


async def test_everybody_has_their_own(uploads: Uploads, files: Files) -> None:
    hers, his = await whole(uploads, ANA), await whole(uploads, BRUNO)
    assert (await the_one(files)).file_id == hers
    assert (await the_one(files, BRUNO)).file_id == his
    assert await own(files, CARLA) == []


async def test_what_is_gone_is_not_listed(
    uploads: Uploads, files: Files, place: Place, chat: ConversationId
) -> None:
    given_up, sent = await whole(uploads), await whole(uploads)
    use = use_of(sent, chat)
    await files.attach(use)
    await uploads.end(given_up, ANA)
    assert (await the_one(files)).file_id == sent
    await detach(files, use)
    assert await own(files) == []
    await whole(uploads)
    await aged(place, UPLOAD_SECONDS)
    assert await own(files) == []


async def test_the_newest_come_first_or_the_largest(
    uploads: Uploads, files: Files, place: Place
) -> None:
    made = []
    for size in (20, 30, 10):
        made.append(await whole(uploads, size=size))
        await aged(place, 10)
    first, second, third = made
    assert [one.file_id for one in await own(files)] == [third, second, first]
    largest = await own(files, order=LARGEST)
    assert [one.file_id for one in largest] == [second, first, third]


def made_at_two_times(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE files SET created_at = size % 3")


@pytest.mark.parametrize("order", [NEWEST, LARGEST])
async def test_pages_have_each_file_once(
    uploads: Uploads, files: Files, place: Place, order: FileOrder
) -> None:
    """Also those of one size, and those that were made at the same time."""
    for size in (5, 7, 5, 5, 7, 9, 5):
        await whole(uploads, size=size)
    await place.database.write(made_at_two_times)
    found: list[OwnFile] = []
    after: FilePlace | None = None
    while page := await files.own(ANA, order, 2, after):
        assert len(page) == (2 if len(found) < 6 else 1)
        found += page
        after = page[-1].place(order)
    assert len({one.file_id for one in found}) == 7
    assert found == await own(files, order=order)
    places = [one.place(order) for one in found]
    assert places == sorted(places, reverse=True)


async def test_it_names_the_messages_of_the_owner_that_have_it(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    sent, kept = await whole(uploads), await whole(uploads)
    uses = [use_of(sent, chat) for _ in range(2)]
    for use in uses:
        await files.attach(use)
    found = {one.file_id: one for one in await own(files)}
    assert {*found[sent].messages} == {NamingMessage(chat, use.message_id) for use in uses}
    assert (found[sent].is_in_use, found[sent].expires_at) == (True, 0)
    assert (found[kept].is_in_use, found[kept].messages) == (False, [])
    await detach(files, uses[0])
    found = {one.file_id: one for one in await own(files)}
    assert found[sent].messages == [NamingMessage(chat, uses[1].message_id)]


async def test_it_names_nothing_that_the_owner_cannot_see(
    uploads: Uploads, files: Files, directory: AnsweringDirectory, chat: ConversationId
) -> None:
    """What others did with the file is theirs; that it is in use, its owner has to know."""
    file_id = await whole(uploads)
    mine = use_of(file_id, chat)
    theirs = (await directory.add_conversation(group(BRUNO, CARLA))).conversation_id
    await files.attach(mine)
    await files.attach(use_of(file_id, chat, BRUNO))
    await files.attach(use_of(file_id, theirs, BRUNO))
    assert (await the_one(files)).messages == [NamingMessage(chat, mine.message_id)]
    await detach(files, mine)
    found = await the_one(files)
    assert (found.is_in_use, found.messages) == (True, [])
    await files.attach(mine)
    await directory.remove_member(chat, ANA)
    found = await the_one(files)
    assert (found.is_in_use, found.messages) == (True, [])


async def test_it_names_only_so_many_messages_of_each_file(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    often, once = await whole(uploads), await whole(uploads)
    names = {MessageId(str(uuid.uuid4())) for _ in range(NAMING_MESSAGES_MAX + 2)}
    for name in names:
        await files.attach(use_of(often, chat, message=name))
    await files.attach(use_of(once, chat))
    found: dict[FileId, OwnFile] = {one.file_id: one for one in await own(files)}
    named = {one.message_id for one in found[often].messages}
    assert len(named) == len(found[often].messages) == NAMING_MESSAGES_MAX
    assert named < names
    assert len(found[once].messages) == 1
