"""Downloads: who gets a file, ranges and conditions, and what a browser may do with it."""

import logging
import os
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat4all.domain.files import FileUse, file_id
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.usecases import downloading
from tests.api.conftest import CHAT, Api
from tests.api.test_http import check_problem
from tests.api.tus import PNG, Tus, named

pytestmark = pytest.mark.anyio

SAFE = "sandbox; default-src 'none'; frame-ancestors 'none'"


@pytest.fixture
async def bruno(api: Api) -> Tus:
    return Tus(api, await api.sign_in("bruno"))


@pytest.fixture
async def ana(api: Api) -> Tus:
    return Tus(api, await api.sign_in("ana"))


async def get(who: Tus, path: str, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await who._client.get(path, headers={**who.who, **given})


async def attach(api: Api, path: str, chat: str = CHAT, sender: str = "bruno") -> None:
    """Let a message name a file, which its conversation's members may have then."""
    await api.parts.people.files.attach(
        FileUse(
            file_id(path.rpartition("/")[2]),
            ConversationId(chat),
            MessageId(str(uuid.uuid4())),
            Username(sender),
        )
    )


# Whole files.


async def test_a_file_comes_with_its_type_its_tag_and_its_name(bruno: Tus) -> None:
    path = await bruno.upload(PNG, **named("praia.png"))
    answer = await get(bruno, path)
    assert answer.status_code == 200
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(PNG))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == 'inline; filename="praia.png"'
    for name, value in {
        "cache-control": "private, no-cache",
        "content-security-policy": SAFE,
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }.items():
        assert answer.headers.get_list(name) == [value], name


async def test_head_is_the_same_without_bytes(bruno: Tus) -> None:
    path = await bruno.upload(PNG, **named("praia.png"))
    got, head = await get(bruno, path), await bruno._client.head(path, headers=bruno.who)
    assert head.content == b""
    for answer in (got, head):
        del answer.headers["x-request-id"], answer.headers["ratelimit"]
    assert head.headers == got.headers


async def test_a_file_whose_bytes_are_gone_is_unavailable(bruno: Tus, tmp_path: Path) -> None:
    path = await bruno.upload(PNG)
    (stored,) = (one for one in (tmp_path / "data" / "files").glob("??/**/*") if one.is_file())
    os.truncate(stored, 0)
    answer = await get(bruno, path)
    check_problem(answer, 503)
    assert answer.json()["detail"] == "this file was damaged in the store of files"


async def test_a_file_whose_object_is_lost_is_unavailable_and_told(
    bruno: Tus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = await bruno.upload(PNG)
    (stored,) = (one for one in (tmp_path / "data" / "files").glob("??/**/*") if one.is_file())
    stored.unlink()
    answer = await get(bruno, path)
    check_problem(answer, 503)
    assert answer.json()["detail"] == "this file was damaged in the store of files"
    (line,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert path.endswith(line.__dict__["file_id"])


async def test_a_thumbnail_whose_picture_is_lost_is_unavailable_and_told(
    bruno: Tus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails when it is answered with the store's own word, that there is no such object."""
    path = await bruno.upload(PNG)
    (stored,) = (one for one in (tmp_path / "data" / "files").glob("??/**/*") if one.is_file())
    kept = await get(bruno, f"{path}/thumbnail?size=128")
    stored.unlink()
    assert (await get(bruno, f"{path}/thumbnail?size=128")).content == kept.content
    answer = await get(bruno, f"{path}/thumbnail?size=1280")
    check_problem(answer, 503)
    assert answer.json()["detail"] == "this file was damaged in the store of files"
    (line,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert path.endswith(line.__dict__["file_id"])


async def test_a_file_that_was_cut_short_is_said_once(
    bruno: Tus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails when the rest of an answer is taken for another one, and told as a defect."""
    path = await bruno.upload(PNG)
    (stored,) = (one for one in (tmp_path / "data" / "files").glob("??/**/*") if one.is_file())
    os.truncate(stored, 10)
    with pytest.raises(AssertionError):  # the transport has no end of the answer
        await get(bruno, path)
    lost, broken_off = (one for one in caplog.records if one.levelno >= logging.WARNING)
    assert (lost.levelname, lost.getMessage()) == ("ERROR", "the bytes of a file are lost")
    assert broken_off.getMessage() == "a download was broken off"
    for line in (lost, broken_off):
        assert path.endswith(line.__dict__["file_id"])
        assert line.__dict__["cause"] == "an object has fewer bytes than it had"
    assert broken_off.__dict__["user"] == "bruno"


ACTIVE = [
    (
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "image/svg+xml",
    ),
    (b"<!DOCTYPE html><script>alert(1)</script>", "text/html"),
    (b"<!DOCTYPE html><script>alert(1)</script>", "image/png"),
    (b"%PDF-1.7\n", "application/pdf"),
    (b"plain", "text/plain"),
    (b"PK\x03\x04", "application/zip"),
    (b"RIFF\0\0\0\0AVI LIST", "video/avi"),
]


async def test_what_might_be_run_is_only_saved(bruno: Tus) -> None:
    for data, claimed in ACTIVE:
        path = await bruno.upload(data, **named("a.html", claimed))
        answer = await get(bruno, path)
        assert answer.content == data
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == 'attachment; filename="a.html"'
        assert answer.headers["content-security-policy"] == SAFE


NAMES = [
    ("a b.png", 'inline; filename="a b.png"'),
    ('say "hi".png', "inline; filename=\"say _hi_.png\"; filename*=UTF-8''say%20%22hi%22.png"),
    ("praia é.png", "inline; filename=\"praia _.png\"; filename*=UTF-8''praia%20%C3%A9.png"),
    ("100%.png", "inline; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
    ("a;b=c.png", 'inline; filename="a;b=c.png"'),
    ("🎉.png", "inline; filename=\"_.png\"; filename*=UTF-8''%F0%9F%8E%89.png"),
]


async def test_names_are_written_as_http_writes_them(bruno: Tus) -> None:
    for name, wanted in NAMES:
        path = await bruno.upload(PNG, **named(name))
        assert (await get(bruno, path)).headers["content-disposition"] == wanted


# Ranges and conditions.


DATA = bytes(range(100))


RANGES = [
    ("bytes=0-9", 0, 9),
    ("bytes=90-", 90, 99),
    ("bytes=90-1000", 90, 99),
    ("bytes=-5", 95, 99),
    ("bytes=-1000", 0, 99),
    ("Bytes=99-99", 99, 99),
]


async def test_a_range_of_a_file(bruno: Tus) -> None:
    path = await bruno.upload(DATA)
    for asked, first, last in RANGES:
        answer = await get(bruno, path, Range=asked)
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/100"
        assert answer.headers["content-length"] == str(last - first + 1)
        assert answer.content == DATA[first : last + 1]


async def test_a_range_that_is_not_known_is_ignored(bruno: Tus) -> None:
    path = await bruno.upload(DATA)
    for asked in ("bytes=0-1,5-6", "lines=0-1", "bytes=5-2", "bytes=-", "bytes=a-b", "nonsense"):
        answer = await get(bruno, path, Range=asked)
        assert (answer.status_code, answer.content) == (200, DATA)


async def test_a_range_after_the_end_is_refused(bruno: Tus) -> None:
    path = await bruno.upload(DATA)
    for asked in ("bytes=100-", "bytes=1000-2000", "bytes=-0"):
        answer = await get(bruno, path, Range=asked)
        check_problem(answer, 416)
        assert answer.headers["content-range"] == "bytes */100"


async def test_head_has_no_ranges(bruno: Tus) -> None:
    path = await bruno.upload(DATA)
    for asked in ("bytes=0-9", "bytes=100-"):
        head = await bruno._client.head(path, headers=bruno.who | {"Range": asked})
        assert (head.status_code, head.headers["content-length"]) == (200, "100")
        assert "content-range" not in head.headers


async def test_a_client_that_means_other_bytes_gets_none(bruno: Tus) -> None:
    path = await bruno.upload(DATA)
    tag = (await get(bruno, path)).headers["etag"]
    for condition in (tag, f'"other", {tag}', "*"):
        assert (await get(bruno, path, If_Match=condition, Range="bytes=0-1")).status_code == 206
    for condition in ('"other"', f"W/{tag}", tag.strip('"')):
        check_problem(await get(bruno, path, If_Match=condition, If_None_Match=tag), 412)
        head = await bruno._client.head(path, headers=bruno.who | {"If-Match": condition})
        assert (head.status_code, head.content) == (412, b"")


async def test_a_client_that_has_a_file_is_told_so(bruno: Tus) -> None:
    path = await bruno.upload(DATA)
    tag = (await get(bruno, path)).headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await get(bruno, path, If_None_Match=condition, Range="bytes=0-1")
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "private, no-cache"
    assert (await get(bruno, path, If_None_Match='"other"')).status_code == 200
    ranged = await get(bruno, path, Range="bytes=0-1", If_Range=tag)
    assert (ranged.status_code, ranged.content) == (206, DATA[:2])
    for other in ('"other"', f"W/{tag}", "Sat, 31 Jan 2026 12:00:00 GMT"):
        assert (await get(bruno, path, Range="bytes=0-1", If_Range=other)).status_code == 200


@pytest.mark.thorough
async def test_a_file_of_many_parts_is_read_across_them(api: Api, bruno: Tus) -> None:
    data = b"0123456789abcdef" * (1024 * 1024)  # two parts of 8 MiB
    path = await bruno.upload(data)
    assert (await get(bruno, path)).content == data
    middle = 8 * 1024 * 1024
    answer = await get(bruno, path, Range=f"bytes={middle - 5}-{middle + 4}")
    assert answer.content == data[middle - 5 : middle + 5]


# Who may have a file.


async def test_the_members_of_a_conversation_have_the_files_of_its_messages(
    api: Api, bruno: Tus, ana: Tus
) -> None:
    path = await bruno.upload(PNG)
    assert (await get(ana, path)).status_code == 404
    await attach(api, path)
    assert (await get(ana, path)).content == PNG
    carla = Tus(api, await api.sign_up("carla"))
    assert (await get(carla, path)).status_code == 404
    assert (await carla._client.head(path, headers=carla.who)).status_code == 404


async def test_who_leaves_a_conversation_leaves_its_files(api: Api, bruno: Tus) -> None:
    carla = Tus(api, await api.sign_up("carla"))
    body: dict[str, Any] = {"type": "group", "title": "t", "members": ["carla"]}
    made = await bruno._client.post("/v1/conversations", json=body, headers=bruno.who)
    chat = made.json()["conversation_id"]
    path = await bruno.upload(PNG)
    await attach(api, path, chat)
    link = (await carla._client.post(f"{path}/link", headers=carla.who)).json()["url"]
    assert (await get(carla, path)).status_code == 200
    assert (await api.gateway.get(link)).status_code == 200
    gone = await bruno._client.delete(f"/v1/conversations/{chat}/members/carla", headers=bruno.who)
    assert gone.status_code in (200, 204)
    assert (await get(carla, path)).status_code == 404
    assert (await api.gateway.get(link)).status_code == 404
    tag = (await get(bruno, path)).headers["etag"]
    assert (await get(carla, path, If_None_Match=tag)).status_code == 404


async def test_a_file_that_a_message_names_is_not_given_up(api: Api, bruno: Tus) -> None:
    path = await bruno.upload(PNG)
    await attach(api, path)
    check_problem(await bruno.ask("DELETE", path), 409)
    assert (await get(bruno, path)).content == PNG


async def test_there_is_nothing_at_other_paths(bruno: Tus) -> None:
    for path in ("x", "..%2f..%2fsecret-key", "", f"{CHAT}/x", f"{CHAT}%00"):
        assert (await get(bruno, f"/v1/files/{path}")).status_code == 404


# Links.


async def test_a_link_needs_no_token(api: Api, bruno: Tus) -> None:
    path = await bruno.upload(PNG)
    made = await bruno._client.post(f"{path}/link", headers=bruno.who)
    assert made.status_code == 200
    url = made.json()["url"]
    assert url.startswith(f"{path}?link=")
    answer = await api.gateway.get(url, headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (206, PNG[:4])
    assert made.json()["expires_at"].endswith("Z")


async def test_what_a_link_is_refused_is_logged_with_whose_it_is(
    api: Api, bruno: Tus, caplog: pytest.LogCaptureFixture
) -> None:
    path = await bruno.upload(PNG)
    url = (await bruno._client.post(f"{path}/link", headers=bruno.who)).json()["url"]
    caplog.set_level(logging.INFO, "chat4all.access")
    assert (await api.gateway.get(url, headers={"Range": "bytes=9999-"})).status_code == 416
    (line,) = (one.__dict__ for one in caplog.records if one.name == "chat4all.access")
    assert (line["status"], line["user"]) == (416, "bruno")


async def test_a_link_is_for_one_file_one_user_and_some_minutes(
    api: Api, bruno: Tus, ana: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = await bruno.upload(PNG), await bruno.upload(DATA)
    check_problem(await ana._client.post(f"{path}/link", headers=ana.who), 404)
    url = (await bruno._client.post(f"{path}/link", headers=bruno.who)).json()["url"]
    link = url.partition("link=")[2]
    check_problem(await api.gateway.get(f"{other}?link={link}"), 401)
    check_problem(await api.gateway.get(f"{path}?link={link[:-2]}xx"), 401)
    check_problem(await api.gateway.get(f"{path}?link="), 401)
    token = bruno.who["Authorization"].partition(" ")[2]
    check_problem(await api.gateway.get(f"{path}?link={token}"), 401)
    as_token = {"Authorization": f"Bearer {link}"}
    check_problem(await api.gateway.get(path, headers=as_token), 401)
    check_problem(await api.gateway.get("/v1/conversations", headers=as_token), 401)
    monkeypatch.setattr(downloading, "LINK_SECONDS", -1)
    url = (await bruno._client.post(f"{path}/link", headers=bruno.who)).json()["url"]
    check_problem(await api.gateway.get(url), 401)


@pytest.mark.thorough
async def test_a_link_uploads_nothing(api: Api, bruno: Tus) -> None:
    path = await bruno.upload(PNG)
    url = (await bruno._client.post(f"{path}/link", headers=bruno.who)).json()["url"]
    answer = await api.gateway.delete(url, headers={"Tus-Resumable": "1.0.0"})
    check_problem(answer, 401)
