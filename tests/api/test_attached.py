"""Messages with files: what their readers see, who may have the file, and until when."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from chat4all.domain.errors import BeingChecked
from tests.api.conftest import CHAT, Api
from tests.api.test_operating_people import done
from tests.api.tus import PNG, Tus, named
from tests.attached import FakePictures

pytestmark = pytest.mark.anyio

BODY = PNG + b"and more"


async def upload(api: Api, who: dict[str, str], body: bytes = BODY, name: str = "mar.png") -> str:
    path = await Tus(api, who).upload(body, **named(name, "text/html"))
    return path.rpartition("/")[2]


async def send(api: Api, who: dict[str, str], file_id: str, **more: Any) -> Any:
    body = {"chat_id": CHAT, "kind": "image", "payload": {"file_id": file_id}} | more
    return await api.gateway.post("/v1/messages", json=body, headers=who)


async def shared(api: Api, bruno: dict[str, str]) -> tuple[str, str]:
    """Have bruno send a picture to a new group with ana; return the ids of both."""
    group = {"type": "group", "title": "Sea", "members": ["ana"]}
    made = await api.metadata.post("/v1/conversations", json=group, headers=bruno)
    chat = made.json()["conversation_id"]
    file_id = await upload(api, bruno)
    assert (await send(api, bruno, file_id, chat_id=chat)).status_code == 202
    return chat, file_id


async def status(api: Api, who: dict[str, str], file_id: str, below: str = "") -> int:
    path = f"/v1/files/{file_id}{below}"
    return (await api.gateway.get(path, headers=who)).status_code


async def test_a_picture_is_sent_seen_and_downloaded(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    file_id = await upload(api, bruno)
    assert await status(api, ana, file_id) == 404
    answer = await send(api, bruno, file_id, payload={"file_id": file_id, "alt": "The sea"})
    assert answer.status_code == 202, answer.text
    await api.routed()
    (shown,) = await api.history(ana)
    assert (shown["kind"], shown["content"]) == ("image", "")
    payload = shown["payload"]
    assert len(payload.pop("sha256")) == 64
    assert payload == {
        "file_id": file_id,
        "name": "mar.png",
        "alt": "The sea",
        "size": len(BODY),
        "type": "image/png",
        "width": 1200,
        "height": 800,
        "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    }
    downloaded = await api.gateway.get(f"/v1/files/{file_id}", headers=ana)
    assert downloaded.content == BODY
    (listed,) = (await api.metadata.get("/v1/conversations", headers=ana)).json()
    assert listed["last_message"]["payload"]["name"] == "mar.png"


async def test_all_that_a_message_refers_to_and_may_not_is_named_at_once(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    file_id = await upload(api, bruno)
    for who, file, broken in (
        (bruno, str(uuid.uuid4()), ["/mentions/1", "/reply_to", "/payload/file_id"]),
        (bruno, file_id, ["/mentions/1", "/reply_to"]),
    ):
        answer = await send(api, who, file, mentions=["ana", "nobody"], reply_to=str(uuid.uuid4()))
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == broken
    # The file of a message that is refused was given to nobody.
    assert await status(api, ana, file_id) == 404


async def test_what_passes_hides_nothing_that_is_wrong(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for it, and sent the message again, would be refused after all."""
    bruno = await api.sign_in("bruno")
    file_id = await upload(api, bruno)

    async def checked(*_: Any) -> None:
        raise BeingChecked("this file is being checked")

    monkeypatch.setattr(api.parts.people.files, "find", checked)
    assert (await send(api, bruno, file_id)).status_code == 409
    answer = await send(api, bruno, file_id, mentions=["nobody"])
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/mentions/0"]


async def test_strangers_and_those_who_have_left_get_nothing(api: Api) -> None:
    """A link that was made before ends with the membership too."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    stranger = await api.sign_up("mallory")
    group = {"type": "group", "title": "Sea", "members": ["ana"]}
    made = await api.metadata.post("/v1/conversations", json=group, headers=bruno)
    assert made.status_code == 201, made.text
    chat = made.json()["conversation_id"]
    file_id = await upload(api, bruno)
    assert (await send(api, bruno, file_id, chat_id=chat)).status_code == 202
    link = await api.gateway.post(f"/v1/files/{file_id}/link", headers=ana)
    linked = link.json()["url"]
    assert (await api.gateway.get(linked)).status_code == 200
    for below in ("", "/thumbnail"):
        assert await status(api, ana, file_id, below) == 200
        assert await status(api, stranger, file_id, below) == 404
        assert await status(api, {}, file_id, below) == 401
    # Nor may a stranger send it on, to be let in by a message of their own.
    refused = await send(api, stranger, file_id, chat_id=chat)
    assert refused.status_code == 404
    left = await api.metadata.delete(f"/v1/conversations/{chat}/members/ana", headers=bruno)
    assert left.status_code == 204, left.text
    for below in ("", "/thumbnail"):
        assert await status(api, ana, file_id, below) == 404
    assert (await api.gateway.get(linked)).status_code == 404
    refused = await send(api, ana, file_id)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/payload/file_id"


async def test_a_deleted_message_takes_its_file_back(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    file_id = await upload(api, bruno)
    first = (await send(api, bruno, file_id)).json()["message_id"]
    await api.routed()
    # Sent on by somebody who got it: each message counts for itself.
    second = (await send(api, ana, file_id)).json()["message_id"]
    await api.routed()
    for message_id, who, after in ((first, bruno, 200), (second, ana, 404)):
        path = f"/v1/conversations/{CHAT}/messages/{message_id}"
        assert (await api.gateway.delete(path, headers=who)).status_code == 202
        assert await status(api, ana, file_id) == after
    await api.routed()
    for shown in await api.history(ana):
        assert (shown["kind"], shown["payload"]) == ("image", None)


async def test_what_is_sent_again_is_accepted_again(api: Api) -> None:
    """Also when the file is gone by then: the message was accepted."""
    bruno = await api.sign_in("bruno")
    file_id = await upload(api, bruno)
    own = "01980f4e-0000-4000-8000-000000000001"
    assert (await send(api, bruno, file_id, message_id=own)).status_code == 202
    await api.routed()
    path = f"/v1/conversations/{CHAT}/messages/{own}"
    assert (await api.gateway.delete(path, headers=bruno)).status_code == 202
    await api.routed()
    again = await send(api, bruno, file_id, message_id=own)
    assert again.status_code == 202, again.text
    await api.routed()
    assert len(await api.history(bruno)) == 1


async def test_a_retry_gives_a_deleted_messages_file_to_nobody(api: Api) -> None:
    """Fails when it is attached again: its members would keep it for ever."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    file_id = await upload(api, bruno)
    own = "01980f4e-0000-4000-8000-000000000002"
    other = (await send(api, bruno, file_id)).json()["message_id"]
    assert (await send(api, bruno, file_id, message_id=own)).status_code == 202
    await api.routed()
    for message_id in (own, other):
        path = f"/v1/conversations/{CHAT}/messages/{message_id}"
        assert (await api.gateway.delete(path, headers=bruno)).status_code == 202
        await api.routed()
        if message_id == own:
            assert (await send(api, bruno, file_id, message_id=own)).status_code == 202
            assert await status(api, ana, file_id) == 200
    assert await status(api, ana, file_id) == 404


async def test_a_deletion_is_carried_to_its_end_when_its_caller_has_gone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when it ends with its caller: the message is deleted, and its file still there."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    file_id = await upload(api, bruno)
    message_id = (await send(api, bruno, file_id)).json()["message_id"]
    await api.routed()
    append, appending, may = api.parts.log.append, asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        position = await append(*arguments)
        appending.set()
        await may.wait()
        return position

    monkeypatch.setattr(api.parts.log, "append", slow)
    path = f"/v1/conversations/{CHAT}/messages/{message_id}"
    deleting = asyncio.create_task(api.gateway.delete(path, headers=bruno))
    await appending.wait()
    deleting.cancel()
    await asyncio.gather(deleting, return_exceptions=True)
    may.set()
    async with asyncio.timeout(10):
        while await status(api, ana, file_id) != 404:
            await asyncio.sleep(0.01)


async def test_a_link_ends_with_its_account(api: Api, tmp_path: Path) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    file_id = await upload(api, bruno)
    await send(api, bruno, file_id)
    linked = (await api.gateway.post(f"/v1/files/{file_id}/link", headers=ana)).json()["url"]
    assert (await api.gateway.get(linked)).status_code == 200
    await done(tmp_path / "data", "users", "disable", "ana")
    assert (await api.gateway.get(linked)).status_code == 404


async def test_queries_that_nobody_needs(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    file_id = await upload(api, bruno)
    for below in ("", "/thumbnail"):
        path = f"/v1/files/{file_id}{below}"
        assert (await api.gateway.get(path + "?a=%C3%A9", headers=bruno)).status_code == 200
        many = "&".join(f"a{number}=1" for number in range(11))
        assert (await api.gateway.get(f"{path}?{many}", headers=bruno)).status_code == 400
    answer = await api.gateway.get(f"/v1/files/{file_id}/thumbnail?size=%C2%B2", headers=bruno)
    assert answer.status_code == 422


async def test_files_that_do_not_fit_are_refused(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    page = await upload(api, bruno, b"<html><script>alert(1)</script>", "a.png")
    for kind in ("image", "audio", "video"):
        assert (await send(api, bruno, page, kind=kind)).status_code == 422
    unfinished = await Tus(api, bruno).begin(10)
    refused = await send(api, bruno, unfinished.rpartition("/")[2], kind="file")
    assert refused.status_code in (409, 422)
    assert (await send(api, bruno, page, kind="file")).status_code == 202


async def test_thumbnails(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when each of those who ask at once has it made, and when it is not kept."""
    made: list[int] = []
    thumbnail = FakePictures.thumbnail

    async def counted(self: FakePictures, content: Any, size: int) -> bytes:
        made.append(size)
        return await thumbnail(self, content, size)

    monkeypatch.setattr(FakePictures, "thumbnail", counted)
    bruno = await api.sign_in("bruno")
    file_id = await upload(api, bruno)
    path = f"/v1/files/{file_id}/thumbnail"
    answers = await asyncio.gather(*(api.gateway.get(path, headers=bruno) for _ in range(5)))
    assert {answer.content for answer in answers} == {b"RIFF of 480"}
    assert made == [480]
    shown = answers[0]
    assert shown.headers["content-type"] == "image/webp"
    assert shown.headers["content-security-policy"].startswith("sandbox")
    assert shown.headers["x-content-type-options"] == "nosniff"
    tag = {"If-None-Match": shown.headers["etag"]}
    assert (await api.gateway.get(path, headers=bruno | tag)).status_code == 304
    head = await api.gateway.head(path, headers=bruno)
    assert (head.status_code, head.content) == (200, b"")
    for asked, size in ((1, 128), (128, 128), (129, 480), (4_096, 1280)):
        answer = await api.gateway.get(f"{path}?size={asked}", headers=bruno)
        assert answer.content == b"RIFF of %d" % size
    assert (await api.gateway.post(path, headers=bruno)).status_code == 405


async def test_what_cannot_be_seen_has_no_thumbnail(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for body in (b"just text", PNG + FakePictures.BROKEN):
        file_id = await upload(api, bruno, body)
        assert await status(api, bruno, file_id) == 200
        assert await status(api, bruno, file_id, "/thumbnail") == 404
        for condition in ("*", '"anything"'):
            asked = bruno | {"If-None-Match": condition}
            answer = await api.gateway.get(f"/v1/files/{file_id}/thumbnail", headers=asked)
            assert answer.status_code == 404


async def test_who_loses_a_picture_while_it_is_made_small_gets_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    chat, file_id = await shared(api, bruno)

    async def slow(self: FakePictures, content: Any, size: int) -> bytes:
        await api.metadata.delete(f"/v1/conversations/{chat}/members/ana", headers=bruno)
        return b"RIFF"

    monkeypatch.setattr(FakePictures, "thumbnail", slow)
    monkeypatch.setattr("chat4all.gateway.files.asking_again.ASK_EVERY_SECONDS", 0)
    assert await status(api, ana, file_id, "/thumbnail") == 404
    assert await status(api, bruno, file_id, "/thumbnail") == 200


async def test_conditions_of_a_thumbnail(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    path = f"/v1/files/{await upload(api, bruno)}/thumbnail"
    tag = (await api.gateway.get(path, headers=bruno)).headers["etag"]
    for condition, status_code in (("*", 304), (f"W/{tag}", 304), ('"other"', 200)):
        answer = await api.gateway.get(path, headers=bruno | {"If-None-Match": condition})
        assert (answer.status_code, bool(answer.content)) == (status_code, status_code == 200)
    for condition, status_code in (("*", 200), (tag, 200), ('"other"', 412)):
        answer = await api.gateway.get(path, headers=bruno | {"If-Match": condition})
        assert answer.status_code == status_code


async def test_the_size_of_a_thumbnail_is_read_as_other_parameters_are(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    path = f"/v1/files/{await upload(api, bruno)}/thumbnail"
    other = f"/v1/conversations/{CHAT}/messages"
    for written in ("0", "-1", "x", "1e1", "", "%C2%B2", "%2B10", "010", "10.0", "%2010", "1_0"):
        one = await api.gateway.get(f"{path}?size={written}", headers=bruno)
        same = await api.gateway.get(f"{other}?limit={written}", headers=bruno)
        assert one.status_code == same.status_code, written
        if one.status_code != 200:
            (said,), (wanted,) = one.json()["errors"], same.json()["errors"]
            assert said == wanted | {"pointer": "/query/size"}
    assert (await api.gateway.get(f"{path}?size=4097", headers=bruno)).status_code == 422
    for query, size in (("size=x&size=128", 128), ("size=128&size=", None), ("other=", 480)):
        answer = await api.gateway.get(f"{path}?{query}", headers=bruno)
        assert answer.content == b"RIFF of %d" % size if size else answer.status_code == 422
