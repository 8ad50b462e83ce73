"""Messages that name files: what their readers see of them, and who may name which."""

from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from chat4all.domain.errors import BeingChecked, Conflict, FieldError, InvalidInput, NotFound
from chat4all.domain.files import FileLimits, FileState, FileUse, fits
from chat4all.domain.ids import MessageId, Username
from chat4all.domain.kinds import Kind
from chat4all.domain.records import MessageRecord
from chat4all.usecases.attaching import Attaching
from chat4all.wire.payloads import AttachedFile
from tests.attached import FACTS, PICTURE, KeptFiles, attaching, picture
from tests.messages import message
from tests.records import CHATS

pytestmark = pytest.mark.anyio

ID = MessageId("01980f4e-0000-7000-8000-000000000001")


def record(kind: Kind = Kind.IMAGE, sender: str = "bruno", **payload: Any) -> MessageRecord:
    return MessageRecord(
        conversation_id=CHATS[0],
        message_id=ID,
        sender_id=Username(sender),
        content="",
        created_at="2026-01-31T12:00:00.000Z",
        kind=kind,
        payload={"file_id": PICTURE, **payload},
    )


async def test_a_message_says_what_is_known_of_its_file() -> None:
    files = KeptFiles(picture())
    made = await attaching(files).attach(record(alt="A beach"))
    assert made.payload == {
        "file_id": PICTURE,
        "name": "praia.jpg",
        "alt": "A beach",
        "size": 48_213,
        "type": "image/jpeg",
        "sha256": FACTS.sha256,
        "width": 1200,
        "height": 800,
        "blurhash": FACTS.blurhash,
    }
    assert set(made.payload) <= set(AttachedFile.__struct_fields__)
    assert files.uses == {FileUse(PICTURE, CHATS[0], ID, Username("bruno"))}
    renamed = await attaching(files).attach(record(name="mar.jpg"))
    assert renamed.payload is not None
    assert renamed.payload["name"] == "mar.jpg"


async def test_whom_a_file_was_sent_to_may_send_it_on_and_nobody_else() -> None:
    files = KeptFiles(picture(), readers=[Username("ana")])
    await attaching(files).attach(record(sender="ana"))
    for stranger in ("carla", "Ana"):
        with pytest.raises(InvalidInput) as refused:
            await attaching(files).attach(record(sender=stranger))
        assert refused.value.errors[0].pointer == "/payload/file_id"
    assert {use.sender_id for use in files.uses} == {"ana"}


async def test_a_file_that_does_not_fit_the_kind_is_given_to_nobody() -> None:
    files = KeptFiles(replace(picture(), facts=replace(FACTS, media_type="text/html")))
    for kind in (Kind.IMAGE, Kind.AUDIO, Kind.VIDEO):
        with pytest.raises(InvalidInput):
            await attaching(files).attach(record(kind))
    assert not files.uses
    await attaching(files).attach(record(Kind.FILE))
    assert files.uses


def test_a_picture_that_is_a_program_is_no_image() -> None:
    assert fits(Kind.IMAGE, "image/png")
    assert not fits(Kind.IMAGE, "image/svg+xml")
    assert not fits(Kind.VIDEO, "image/png")
    assert not fits(Kind.IMAGE, "imagery/x")
    assert fits(Kind.FILE, "image/svg+xml")


@pytest.mark.parametrize("state", [FileState.UPLOADING, FileState.CHECKING, FileState.REFUSED])
async def test_a_file_that_is_not_ready_is_a_conflict(state: FileState) -> None:
    files = KeptFiles(picture(state=state))
    with pytest.raises(Conflict):
        await attaching(files).attach(record())
    assert not files.uses


async def test_a_file_that_is_larger_than_its_type_may_be_is_not_sent() -> None:
    """Whatever its uploader had said that it is."""
    strict = attaching(KeptFiles(picture()), FileLimits(by_type={"image": 48_212}))
    with pytest.raises(InvalidInput):
        await strict.attach(record())
    with pytest.raises(InvalidInput):
        await strict.attach(record(Kind.FILE))
    await attaching(KeptFiles(picture()), FileLimits(by_type={"image": 48_213})).attach(record())


async def test_a_deletion_takes_back_the_file_of_that_message_only() -> None:
    files = KeptFiles(picture())
    both = attaching(files)
    await both.attach(record())
    other = record()._replace(message_id=MessageId(CHATS[1]))
    await both.attach(other)
    deleted = replace(message(1), conversation_id=CHATS[0], message_id=ID, kind=Kind.IMAGE)
    deleted = replace(deleted, sender_id=Username("bruno"))
    await both.detach(deleted)
    await both.detach(deleted)
    assert files.uses == {FileUse(PICTURE, CHATS[0], other.message_id, Username("bruno"))}


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.FILE, Kind.AUDIO, Kind.VIDEO, Kind.TEXT])
async def test_a_deletion_says_whose_message_it_is_in_case_it_is_cut_off(kind: Kind) -> None:
    """Only where there is a file: all other deletions ask nobody."""
    files, uses = AsyncMock(), AsyncMock()
    deleted = replace(message(1), kind=kind)
    await Attaching(files, uses).doubt(deleted)
    await Attaching(files, uses).detach(deleted)
    of = (deleted.conversation_id, deleted.message_id, deleted.sender_id)
    expected = [] if kind is Kind.TEXT else [of]
    assert [call.args for call in uses.doubt.await_args_list] == expected
    assert [call.args for call in files.detach.await_args_list] == expected


async def test_why_a_file_is_refused_is_said() -> None:
    strict = attaching(KeptFiles(picture()), FileLimits(by_type={"image": 1_000}))
    for attached, sent, says in (
        (attaching(), record(), "there is no such file, or you may not have it"),
        (
            attaching(KeptFiles(picture())),
            record(Kind.AUDIO),
            "this file cannot be sent as `audio`: it is image/jpeg",
        ),
        (strict, record(), "a file of this type has at most 1,000 bytes"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await attached.attach(sent)
        assert refused.value.errors == (FieldError("/payload/file_id", says),)


async def test_a_file_that_is_held_back_is_told_from_one_that_was_refused() -> None:
    """Whoever waits for the one would wait for ever for the other."""
    with pytest.raises(BeingChecked):
        await attaching(KeptFiles(picture(state=FileState.CHECKING))).attach(record())
    with pytest.raises(Conflict) as refused:
        await attaching(KeptFiles(picture(state=FileState.REFUSED))).attach(record())
    assert not isinstance(refused.value, BeingChecked)


async def test_who_loses_a_file_while_it_is_attached_has_lost_it() -> None:
    """Fails where only what was checked before counts."""
    files = AsyncMock()
    files.find.return_value = picture()
    files.attach.side_effect = NotFound("no such file")
    with pytest.raises(InvalidInput):
        await Attaching(files, AsyncMock()).attach(record())
    use = FileUse(PICTURE, CHATS[0], ID, Username("bruno"))
    files.find.assert_awaited_once_with(PICTURE, "bruno")
    files.attach.assert_awaited_once_with(use)


async def test_a_message_shows_of_its_file_only_what_is_known() -> None:
    facts = replace(FACTS, media_type="text/plain", width=None, height=None, blurhash=None)
    file = replace(picture(), facts=facts)
    made = await attaching(KeptFiles(file)).attach(record(Kind.FILE, name="../../etc/passwd"))
    assert made.payload == {
        "file_id": PICTURE,
        "name": "passwd",
        "size": 48_213,
        "type": "text/plain",
        "sha256": FACTS.sha256,
    }
    unnamed = await attaching(KeptFiles(file)).attach(record(Kind.FILE, name=""))
    assert unnamed.payload is not None
    assert unnamed.payload["name"] == "praia.jpg"
