"""The contract of `ports.files.Files`: who may have a file, and when it is garbage."""

import asyncio
import uuid

import pytest

from chat4all.domain.errors import BeingChecked, Conflict, NotFound
from chat4all.domain.files import (
    GARBAGE_SECONDS,
    LATE_SECONDS,
    UPLOAD_SECONDS,
    FileId,
    FileState,
    FileUse,
    Garbage,
    keys_of,
)
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.people import Role
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.files import Files, Uploads
from chat4all.ports.people import PeoplePorts
from chat4all.ports.users import AllUsers
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_uploads import FREE, SETTINGS, aged, new_upload, progress_of, whole
from tests.databases import Place

pytestmark = [pytest.mark.anyio, SETTINGS]


@pytest.fixture(autouse=True)
async def _people(known: PeoplePorts) -> None:
    for name in (ANA, BRUNO, CARLA):
        await known.users.add_user(user(name), b"")


@pytest.fixture
async def chat(directory: AnsweringDirectory, _people: None) -> ConversationId:
    return (await directory.add_conversation(group(ANA, BRUNO))).conversation_id


def use_of(
    file_id: FileId, chat: ConversationId, sender: Username = ANA, message: str = ""
) -> FileUse:
    return FileUse(file_id, chat, MessageId(message or str(uuid.uuid4())), sender)


async def detach(files: Files, use: FileUse) -> None:
    await files.detach(use.conversation_id, use.message_id, use.sender_id)


async def can_have(files: Files, file_id: FileId) -> list[Username]:
    found = []
    for name in (ANA, BRUNO, CARLA):
        try:
            found.append((name, (await files.find(file_id, name)).file_id))
        except NotFound:
            continue
    assert all(one == file_id for _, one in found)
    return [name for name, _ in found]


async def garbage_of(files: Files) -> list[FileId]:
    return [one.file_id for one in await files.garbage(100)]


async def test_a_file_is_its_owners_until_a_message_names_it(
    uploads: Uploads, files: Files, directory: AnsweringDirectory, chat: ConversationId
) -> None:
    file_id = await whole(uploads)
    assert await can_have(files, file_id) == [ANA]
    attached = await files.attach(use_of(file_id, chat))
    assert attached == await files.find(file_id, BRUNO)
    assert await can_have(files, file_id) == [ANA, BRUNO]
    await directory.add_member(chat, CARLA, Role.MEMBER)
    assert await can_have(files, file_id) == [ANA, BRUNO, CARLA]
    await directory.remove_member(chat, BRUNO)
    assert await can_have(files, file_id) == [ANA, CARLA]
    assert (await uploads.find(file_id, ANA)).expires_at == 0


async def test_who_may_have_a_file_may_send_it_on(
    uploads: Uploads, files: Files, directory: AnsweringDirectory, chat: ConversationId
) -> None:
    file_id = await whole(uploads)
    other = (await directory.add_conversation(group(CARLA, BRUNO))).conversation_id
    with pytest.raises(NotFound):
        await files.attach(use_of(file_id, other, BRUNO))
    first, second = use_of(file_id, chat), use_of(file_id, other, BRUNO)
    await files.attach(first)
    await files.attach(second)
    assert await can_have(files, file_id) == [ANA, BRUNO, CARLA]
    await detach(files, first)
    assert await can_have(files, file_id) == [ANA, BRUNO, CARLA]
    await directory.remove_member(other, BRUNO)
    assert await can_have(files, file_id) == [ANA, CARLA]


async def test_only_a_member_sends_it(
    uploads: Uploads, files: Files, directory: AnsweringDirectory, chat: ConversationId
) -> None:
    file_id = await whole(uploads, CARLA)
    for there in (chat, ConversationId(str(uuid.uuid4()))):
        with pytest.raises(NotFound):
            await files.attach(use_of(file_id, there, CARLA))
    await directory.add_member(chat, CARLA, Role.MEMBER)
    await directory.delete_conversation(chat)
    with pytest.raises(NotFound):
        await files.attach(use_of(file_id, chat, CARLA))
    assert await can_have(files, file_id) == [CARLA]


async def test_attaching_again_does_nothing(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    file_id = await whole(uploads)
    use = use_of(file_id, chat)
    assert await files.attach(use) == await files.attach(use)
    await detach(files, use)
    await detach(files, use)
    assert await can_have(files, file_id) == []


async def test_a_message_is_its_senders(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    """Two senders may use one message id."""
    file_id = await whole(uploads)
    mine = use_of(file_id, chat)
    theirs = mine._replace(sender_id=BRUNO)
    await files.attach(mine)
    await files.attach(theirs)
    await detach(files, mine)
    assert await can_have(files, file_id) == [ANA, BRUNO]
    await detach(files, theirs)
    assert await garbage_of(files) == [file_id]


async def test_only_what_is_ready_is_sent(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    unfinished = (await uploads.create(new_upload(), FREE)).file_id
    with pytest.raises(NotFound):
        await files.attach(use_of(unfinished, chat))
    for state, error in ((FileState.CHECKING, BeingChecked), (FileState.REFUSED, Conflict)):
        file_id = await whole(uploads, state=state)
        with pytest.raises(error):
            await files.attach(use_of(file_id, chat))


async def test_garbage_is_given_to_one_for_a_minute(
    uploads: Uploads, files: Files, place: Place
) -> None:
    unfinished = await uploads.create(new_upload(), FREE)
    await uploads.take(unfinished.file_id, ANA, force=False)
    await uploads.take(unfinished.file_id, ANA, force=True)
    await aged(place, 60)
    made = await files.find(await whole(uploads), ANA)
    assert await garbage_of(files) == []
    await aged(place, UPLOAD_SECONDS)
    (first,), (second,) = await files.garbage(1), await files.garbage(2)
    assert first._replace(keys=[*first.keys]) == Garbage(
        unfinished.file_id,
        unfinished.store_upload,
        [*keys_of(unfinished.file_id, unfinished.key, 2)],
    )
    assert (second.file_id, second.store_upload) == (made.file_id, None)
    assert [*second.keys] == [*keys_of(made.file_id, made.key, 1)]
    assert await garbage_of(files) == []
    await aged(place, GARBAGE_SECONDS + 1)
    assert await garbage_of(files) == [unfinished.file_id, made.file_id]
    await files.forget([unfinished.file_id])
    await files.forget([])
    await aged(place, GARBAGE_SECONDS + 1)
    assert await garbage_of(files) == [made.file_id]


async def test_what_was_deleted_is_deleted_once_more(
    uploads: Uploads, files: Files, place: Place
) -> None:
    """Something that was on its way to the store may have arrived after the first time."""
    begun = await uploads.create(new_upload(), FREE)
    await uploads.take(begun.file_id, ANA, force=False)
    await uploads.end(begun.file_id, ANA)
    (first,) = await files.garbage(10)
    for _ in range(2):  # the answer to the first call was lost
        await files.forget([begun.file_id])
    await aged(place, LATE_SECONDS - 60)
    assert await files.garbage(10) == []
    await aged(place, 60)
    (second,) = await files.garbage(10)
    assert second._replace(keys=[*second.keys]) == first._replace(keys=[*first.keys])
    await files.forget([begun.file_id])
    await aged(place, UPLOAD_SECONDS)
    assert await files.garbage(10) == []


async def test_what_was_given_to_be_deleted_is_gone_for_ever(
    uploads: Uploads, files: Files, place: Place, chat: ConversationId
) -> None:
    """Also when the clock is set back."""
    file_id = await whole(uploads)
    await aged(place, UPLOAD_SECONDS)
    assert await garbage_of(files) == [file_id]
    await aged(place, -2 * UPLOAD_SECONDS)
    assert await can_have(files, file_id) == []
    with pytest.raises(NotFound):
        await files.attach(use_of(file_id, chat))
    with pytest.raises(NotFound):
        await uploads.find(file_id, ANA)


async def test_what_is_there_is_not_forgotten(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    file_id = await whole(uploads)
    await files.attach(use_of(file_id, chat))
    await files.forget([file_id])
    assert await can_have(files, file_id) == [ANA, BRUNO]


async def test_a_file_that_a_message_names_is_kept(
    uploads: Uploads, files: Files, place: Place, chat: ConversationId
) -> None:
    file_id = await whole(uploads)
    await aged(place, UPLOAD_SECONDS - 60)
    await files.attach(use_of(file_id, chat))
    await aged(place, 2 * UPLOAD_SECONDS)
    assert await garbage_of(files) == []
    with pytest.raises(Conflict, match="message"):
        await uploads.end(file_id, ANA)
    assert await can_have(files, file_id) == [ANA, BRUNO]


async def test_with_its_last_message_it_is_gone_at_once(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    file_id = await whole(uploads)
    uses = [use_of(file_id, chat), use_of(file_id, chat, BRUNO)]
    for use in uses:
        await files.attach(use)
    await detach(files, uses[0])
    assert await garbage_of(files) == []
    await detach(files, uses[1])
    assert await can_have(files, file_id) == []
    assert await files.used(ANA) == 0
    with pytest.raises(NotFound):
        await files.attach(use_of(file_id, chat))
    assert await garbage_of(files) == [file_id]


async def test_files_of_a_deleted_conversation_are_kept_a_while(
    uploads: Uploads,
    files: Files,
    directory: AnsweringDirectory,
    place: Place,
    chat: ConversationId,
) -> None:
    other = (await directory.add_conversation(group(ANA, CARLA))).conversation_id
    only, also = await whole(uploads), await whole(uploads)
    uses = [use_of(only, chat), use_of(only, chat), use_of(also, chat), use_of(also, other)]
    for use in uses:
        await files.attach(use)
    await directory.delete_conversation(chat)
    assert await can_have(files, only) == [ANA]
    assert await can_have(files, also) == [ANA, CARLA]
    await detach(files, uses[0])  # which is too late
    assert await garbage_of(files) == []
    await aged(place, UPLOAD_SECONDS)
    assert await garbage_of(files) == [only]
    await directory.delete_conversation(other)
    await aged(place, UPLOAD_SECONDS)
    assert await garbage_of(files) == [also, only]


async def test_an_erased_users_files_are_gone(
    uploads: Uploads, files: Files, users: AllUsers, chat: ConversationId
) -> None:
    theirs, mine = await whole(uploads), await whole(uploads, BRUNO)
    unfinished = (await uploads.create(new_upload(), FREE)).file_id
    fence = (await uploads.take(unfinished, ANA, force=False)).fence
    uses = [use_of(theirs, chat), use_of(theirs, chat, BRUNO), use_of(mine, chat, ANA)]
    await files.attach(uses[0])
    await files.attach(uses[1])
    await files.attach(use_of(mine, chat, BRUNO))
    await files.attach(uses[2])
    await users.erase_user(ANA)
    assert await can_have(files, theirs) == []
    assert await can_have(files, mine) == [BRUNO]
    with pytest.raises(NotFound):
        await uploads.advance(unfinished, fence, progress_of(3))
    with pytest.raises(NotFound):
        await uploads.create(new_upload(), FREE)
    with pytest.raises(NotFound):
        await files.attach(use_of(theirs, chat, BRUNO))
    assert await files.used(ANA) == 0
    garbage = await garbage_of(files)
    assert sorted(garbage) == sorted([theirs, unfinished])
    await files.forget(garbage)
    assert await garbage_of(files) == []


async def test_who_gives_a_file_up_meets_who_sends_it(
    uploads: Uploads, files: Files, chat: ConversationId
) -> None:
    """Exactly one of them wins, each time."""
    for number in range(4):
        file_id = await whole(uploads)
        both = [uploads.end(file_id, ANA), files.attach(use_of(file_id, chat))]
        outcomes = await asyncio.gather(*both[:: (-1) ** number], return_exceptions=True)
        ended, attached = outcomes[:: (-1) ** number]
        if ended is None:
            assert isinstance(attached, NotFound)
            assert await garbage_of(files) == [file_id]
        else:
            assert isinstance(ended, Conflict)
            assert not isinstance(attached, BaseException)
            assert await garbage_of(files) == []


async def test_garbage_is_given_once_to_many_who_ask_at_once(
    uploads: Uploads, files: Files, place: Place
) -> None:
    made = [await whole(uploads) for _ in range(6)]
    await aged(place, UPLOAD_SECONDS)
    given = await asyncio.gather(*(files.garbage(3) for _ in range(4)))
    assert sorted(one.file_id for some in given for one in some) == sorted(made)
