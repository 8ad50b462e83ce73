"""The contract of `ports.file_uses.FileUses`: which messages with files are looked for."""

import asyncio

import pytest

from chat4all.adapters.sql import file_uses as sql_file_uses
from chat4all.adapters.sql.file_uses import SqlFileUses
from chat4all.adapters.sql.outbox import now_ms
from chat4all.domain.file_uses import CHECK_AGAIN_SECONDS, CHECK_SECONDS, DoubtfulUse
from chat4all.domain.files import UPLOAD_SECONDS, FileUse
from chat4all.domain.ids import ConversationId
from chat4all.ports.directory import AnsweringDirectory
from chat4all.ports.file_uses import FileUses
from chat4all.ports.files import Files, Uploads
from chat4all.ports.people import PeoplePorts
from tests.contract.test_directory import ANA, BRUNO, CARLA, group, user
from tests.contract.test_files_known import can_have, detach, garbage_of, use_of
from tests.contract.test_uploads import SETTINGS, aged, whole
from tests.databases import Place

pytestmark = [pytest.mark.anyio, SETTINGS]


@pytest.fixture
def uses(known: PeoplePorts) -> FileUses:
    return known.file_uses


@pytest.fixture
async def chat(known: PeoplePorts, directory: AnsweringDirectory) -> ConversationId:
    for name in (ANA, BRUNO, CARLA):
        await known.users.add_user(user(name), b"")
    return (await directory.add_conversation(group(ANA, BRUNO))).conversation_id


@pytest.fixture
async def use(uploads: Uploads, files: Files, chat: ConversationId) -> FileUse:
    """A use that was just noted."""
    use = use_of(await whole(uploads), chat)
    await files.attach(use)
    return use


async def given(uses: FileUses) -> DoubtfulUse:
    (one,) = await uses.doubtful(10)
    return one


async def doubt(uses: FileUses, use: FileUse) -> None:
    await uses.doubt(use.conversation_id, use.message_id, use.sender_id)


async def test_a_use_is_in_doubt_until_it_is_settled(
    uses: FileUses, files: Files, use: FileUse, place: Place
) -> None:
    await aged(place, CHECK_SECONDS - 60)
    assert await uses.doubtful(10) == []
    await aged(place, 60)
    first = await given(uses)
    assert first.use == use
    assert await uses.doubtful(10) == []
    await aged(place, CHECK_AGAIN_SECONDS + 1)
    second = await given(uses)
    await uses.settle(first, is_named=False)  # which took too long: another one asks by now
    await uses.settle(second, is_named=True)
    await aged(place, 2 * UPLOAD_SECONDS)
    assert await uses.doubtful(10) == []
    assert await can_have(files, use.file_id) == [ANA, BRUNO]


async def test_without_its_message_a_file_is_as_before(
    uses: FileUses, files: Files, use: FileUse, place: Place
) -> None:
    await aged(place, CHECK_SECONDS)
    await uses.settle(await given(uses), is_named=False)
    assert await can_have(files, use.file_id) == [ANA]
    await aged(place, UPLOAD_SECONDS - 60)
    assert await garbage_of(files) == []
    await files.attach(use)  # the client comes back, and sends it after all
    assert await can_have(files, use.file_id) == [ANA, BRUNO]
    await aged(place, UPLOAD_SECONDS)
    assert await garbage_of(files) == []
    await uses.settle(await given(uses), is_named=False)
    await aged(place, UPLOAD_SECONDS)
    assert await garbage_of(files) == [use.file_id]


async def test_another_message_keeps_the_file(
    uses: FileUses, files: Files, use: FileUse, place: Place, chat: ConversationId
) -> None:
    await aged(place, CHECK_SECONDS)
    await files.attach(use_of(use.file_id, chat))
    await uses.settle(await given(uses), is_named=False)
    await aged(place, UPLOAD_SECONDS)
    assert await garbage_of(files) == []
    assert await can_have(files, use.file_id) == [ANA, BRUNO]


async def test_what_is_sent_or_deleted_meanwhile_is_in_doubt_anew(
    uses: FileUses, files: Files, use: FileUse, place: Place
) -> None:
    """Or else a message that is sent again loses its file, and a deleted one keeps it."""
    await aged(place, CHECK_SECONDS)
    one = await given(uses)
    await files.attach(use)
    await uses.settle(one, is_named=False)
    assert await can_have(files, use.file_id) == [ANA, BRUNO]
    await aged(place, CHECK_SECONDS)
    two = await given(uses)
    await doubt(uses, use)
    await uses.settle(two, is_named=True)
    await aged(place, CHECK_SECONDS)
    await uses.settle(await given(uses), is_named=True)
    await doubt(uses, use)
    assert await uses.doubtful(10) == []
    await aged(place, CHECK_SECONDS)
    assert (await given(uses)).use == use


async def test_a_clock_that_was_ahead_puts_off_no_check(
    uses: FileUses, use: FileUse, place: Place
) -> None:
    """Nor is one made at once: the message may not be in the log yet."""
    await aged(place, -UPLOAD_SECONDS)
    assert await uses.doubtful(10) == []
    await aged(place, CHECK_SECONDS - 60)
    assert await uses.doubtful(10) == []
    await aged(place, 60)
    assert (await given(uses)).use == use


async def test_nothing_is_checked_while_the_clock_is_ahead(
    use: FileUse, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else a message that is being sent at that moment loses its file."""
    uses = SqlFileUses(place.database)
    assert await uses.doubtful(10) == []
    await aged(place, CHECK_SECONDS)
    ahead = CHECK_SECONDS * 1_000
    monkeypatch.setattr(sql_file_uses, "now_ms", lambda connection: now_ms(connection) + ahead)
    assert await uses.doubtful(10) == []
    assert (await given(SqlFileUses(place.database))).use == use


async def test_what_is_detached_is_settled(
    uses: FileUses, files: Files, use: FileUse, place: Place
) -> None:
    await aged(place, CHECK_SECONDS)
    one = await given(uses)
    await detach(files, use)
    await doubt(uses, use)
    for is_named in (True, False):
        await uses.settle(one, is_named=is_named)
    await aged(place, CHECK_SECONDS)
    assert await uses.doubtful(10) == []
    assert await garbage_of(files) == [use.file_id]


async def test_the_oldest_come_first_and_each_to_one(
    uploads: Uploads, uses: FileUses, files: Files, place: Place, chat: ConversationId
) -> None:
    made = []
    for _ in range(4):
        made.append(use_of(await whole(uploads), chat))
        await files.attach(made[-1])
        await aged(place, 1)
    await aged(place, CHECK_SECONDS)
    assert [one.use for one in await uses.doubtful(2)] == made[:2]
    await aged(place, CHECK_AGAIN_SECONDS + 1)
    both = await asyncio.gather(uses.doubtful(3), uses.doubtful(3))
    assert sorted(one.use for some in both for one in some) == sorted(made)
