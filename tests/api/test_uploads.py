"""tus 1.0.0, point by point (https://tus.io/protocols/resumable-upload)."""

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from chat4all.concurrency.pacing import Pace
from chat4all.domain.errors import Unavailable
from chat4all.domain.files import FILE_MAX, UPLOAD_SECONDS
from tests.api.conftest import Api
from tests.api.test_http import check_problem
from tests.api.tus import OCTETS, PNG, RESUMABLE, Tus, checksum, encoded, named

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bruno(api: Api) -> Tus:
    return Tus(api, await api.sign_in("bruno"))


@pytest.fixture
async def ana(api: Api) -> Tus:
    return Tus(api, await api.sign_in("ana"))


async def test_uploads_give_way_to_messages(
    api: Api, bruno: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are slowed down while messages are being sent, and only then."""
    slowed: list[float] = []
    pay = Pace.pay

    def noted(pace: Pace, amount: int) -> float:
        slowed.append(pay(pace, amount))
        return 0.0

    monkeypatch.setattr(Pace, "pay", noted)
    path = await bruno.begin(4_000_000)
    await bruno.patch(path, 0, bytes(2_000_000))
    assert slowed
    assert not any(slowed)
    await api.send(bruno.who)
    await bruno.patch(path, 2_000_000, bytes(2_000_000))
    assert any(slowed)


# Core.


async def test_options_say_what_there_is(api: Api) -> None:
    for path in ("/v1/files", "/v1/files/550e8400-e29b-41d4-a716-446655440000"):
        answer = await api.gateway.options(path)
        assert answer.status_code == 204
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == str(FILE_MAX)
        assert set(answer.headers["tus-extension"].split(",")) == {
            "creation",
            "creation-with-upload",
            "checksum",
            "expiration",
            "termination",
        }
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"


async def test_head_says_how_far_an_upload_is(bruno: Tus) -> None:
    path = await bruno.begin(100, **named("a.txt"))
    answer = await bruno.ask("HEAD", path)
    assert answer.status_code == 200
    assert answer.headers["upload-offset"] == "0"
    assert answer.headers["upload-length"] == "100"
    assert answer.headers["upload-metadata"] == named("a.txt")["Upload-Metadata"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert (await bruno.patch(path, 0, b"abc")).headers["upload-offset"] == "3"
    assert await bruno.offset(path) == 3


async def test_a_patch_adds_bytes_at_the_offset(bruno: Tus) -> None:
    path = await bruno.begin(6)
    answer = await bruno.patch(path, 0, b"abc")
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["upload-offset"] == "3"
    assert answer.headers["tus-resumable"] == "1.0.0"
    check_problem(await bruno.patch(path, 0, b"abc"), 409)
    check_problem(await bruno.patch(path, 4, b"ef"), 409)
    assert await bruno.offset(path) == 3
    assert (await bruno.patch(path, 3, b"def")).headers["upload-offset"] == "6"
    assert await bruno.offset(path) == 6
    got = await bruno.ask("GET", path)
    assert got.content == b"abcdef"


async def test_a_patch_that_is_repeated_after_the_end_adds_nothing(bruno: Tus) -> None:
    path = await bruno.upload(b"abc")
    assert (await bruno.patch(path, 3, b"")).status_code == 204
    check_problem(await bruno.patch(path, 0, b"abc"), 409)
    check_problem(await bruno.patch(path, 3, b"d"), 413)


async def test_the_body_has_the_type_of_tus(bruno: Tus) -> None:
    path = await bruno.begin(3)
    for content_type in ("application/octet-stream", "text/plain", ""):
        answer = await bruno.ask(
            "PATCH", path, b"abc", Upload_Offset="0", Content_Type=content_type
        )
        check_problem(answer, 415)
    answer = await bruno.patch(path, 0, b"abc", Content_Encoding="gzip")
    check_problem(answer, 415)
    assert await bruno.offset(path) == 0


async def test_an_offset_is_a_number(bruno: Tus) -> None:
    path = await bruno.begin(3)
    for offset in ("", "x", "-1", "1.0", "٣", "9" * 30):
        headers = {**bruno.who, **RESUMABLE, **OCTETS, "Upload-Offset": offset}
        raw = {name.encode(): value.encode() for name, value in headers.items()}
        check_problem(await bruno._client.patch(path, content=b"abc", headers=raw), 400)


async def test_another_version_is_refused_before_anything(bruno: Tus) -> None:
    path = await bruno.begin(3)
    for method, where in [("POST", "/v1/files"), ("PATCH", path), ("DELETE", path)]:
        for version in ("0.2.2", "1.0.1", ""):
            answer = await bruno.ask(
                method, where, Tus_Resumable=version, Upload_Length="3", Upload_Offset="0"
            )
            check_problem(answer, 412)
            assert answer.headers["tus-version"] == "1.0.0"
    answer = await bruno.ask("HEAD", path, Tus_Resumable="0.2.2")
    assert answer.status_code == 412
    assert await bruno.offset(path) == 0


async def test_a_method_may_be_overridden(bruno: Tus) -> None:
    path = await bruno.begin(3)
    answer = await bruno.ask(
        "POST", path, b"abc", X_HTTP_Method_Override="PATCH", Upload_Offset="0", **OCTETS
    )
    assert answer.status_code == 204
    answer = await bruno.ask("POST", path, X_HTTP_Method_Override="HEAD")
    assert answer.headers["upload-offset"] == "3"
    assert (await bruno.ask("POST", path, X_HTTP_Method_Override="DELETE")).status_code == 204
    assert (await bruno.ask("HEAD", path)).status_code == 404


async def test_other_methods_name_those_that_there_are(bruno: Tus) -> None:
    path = await bruno.begin(3)
    for method, where in [("PUT", "/v1/files"), ("POST", path), ("PUT", path)]:
        answer = await bruno.ask(method, where)
        check_problem(answer, 405)
        assert "OPTIONS" in answer.headers["allow"]


# Creation.


async def test_an_upload_is_begun(bruno: Tus) -> None:
    answer = await bruno.ask(
        "POST", "/v1/files", Upload_Length="100", Host="evil.example", X_Forwarded_Host="evil"
    )
    assert answer.status_code == 201
    assert answer.headers["location"].startswith("/v1/files/")
    assert "upload-expires" in answer.headers


NOT_TUS: list[dict[str, str]] = [
    {},
    {"Upload_Length": "x"},
    {"Upload_Length": "-1"},
    {"Upload_Length": ""},
    {"Upload_Defer_Length": "1"},
    {"Upload_Length": "1", "Upload_Metadata": "filename ***"},
    {"Upload_Length": "1", "Upload_Metadata": f"a {encoded('b')},a {encoded('c')}"},
    {"Upload_Length": "1", "Upload_Metadata": "filename /w=="},  # not UTF-8
    {"Upload_Length": "1", "Upload_Metadata": f"name {encoded('x' * 4000)}"},
]


async def test_what_tus_does_not_allow_is_refused(bruno: Tus) -> None:
    for headers in NOT_TUS:
        check_problem(await bruno.ask("POST", "/v1/files", **headers), 400)


async def test_metadata_may_have_keys_without_values(bruno: Tus) -> None:
    metadata = f"is_private,filename {encoded('a.txt')},other {encoded('x')}"
    path = await bruno.begin(3, Upload_Metadata=metadata)
    assert (await bruno.ask("HEAD", path)).headers["upload-metadata"] == metadata


async def test_a_file_may_be_so_large(bruno: Tus) -> None:
    await bruno.begin(FILE_MAX)
    for size in (FILE_MAX + 1, 10**15 - 1):
        check_problem(await bruno.ask("POST", "/v1/files", Upload_Length=str(size)), 413)


async def test_a_patch_does_not_go_beyond_the_length(bruno: Tus) -> None:
    path = await bruno.begin(3)
    check_problem(await bruno.patch(path, 0, b"abcd"), 413)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    check_problem(await bruno.patch(path, 0, chunks()), 413)
    answer = await bruno.patch(path, 0, b"x" * 4)
    assert answer.headers["connection"] == "close"  # the body was not read
    assert await bruno.offset(path) == 0


async def test_an_empty_file_is_whole_at_once(bruno: Tus) -> None:
    path = await bruno.begin(0)
    assert await bruno.offset(path) == 0
    answer = await bruno.ask("GET", path)
    assert (answer.status_code, answer.content) == (200, b"")


# Creation with upload.


async def test_the_first_bytes_may_come_at_once(bruno: Tus) -> None:
    answer = await bruno.ask("POST", "/v1/files", b"abc", Upload_Length="6", **OCTETS)
    assert answer.status_code == 201
    assert answer.headers["upload-offset"] == "3"
    path = answer.headers["location"]
    assert (await bruno.patch(path, 3, b"def")).status_code == 204
    assert (await bruno.ask("GET", path)).content == b"abcdef"
    answer = await bruno.ask("POST", "/v1/files", b"abc", Upload_Length="3", **OCTETS)
    assert answer.headers["upload-offset"] == "3"
    assert (await bruno.ask("GET", answer.headers["location"])).content == b"abc"


@pytest.mark.thorough
async def test_first_bytes_that_are_refused_begin_nothing(bruno: Tus) -> None:
    wrong = checksum(b"other")
    for headers, status in [
        ({"Content-Type": "text/plain"}, 415),
        ({**OCTETS, **wrong}, 460),
        ({**OCTETS, "Upload-Length": "2"}, 413),
    ]:
        answer = await bruno.ask("POST", "/v1/files", b"abc", **{"Upload-Length": "3", **headers})
        assert answer.status_code == status, answer.text
        assert "location" not in answer.headers


async def test_an_upload_that_is_refused_and_may_be_there_is_not_told_as_not_begun(
    api: Api, bruno: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, away = api.parts.people.uploads, AsyncMock(side_effect=Unavailable("away"))
    monkeypatch.setattr(uploads, "take", away)
    for end, told in ((uploads.end, "unavailable"), (away, "outcome-unknown")):
        monkeypatch.setattr(uploads, "end", end)
        answer = await bruno.ask("POST", "/v1/files", b"abc", Upload_Length="3", **OCTETS)
        assert answer.json()["type"] == f"/problems/{told}"
        found = (await api.gateway.get("/v1/files", headers=bruno.who)).json()
        assert bool(found) == (told == "outcome-unknown")


# Checksum.


async def test_a_body_is_what_its_checksum_says(bruno: Tus) -> None:
    path, at = await bruno.begin(7), 0
    for algorithm in ("sha1", "sha256"):
        answer = await bruno.patch(path, at, b"abc", **checksum(b"abd", algorithm))
        assert answer.status_code == 460
        assert answer.json()["type"] == "/problems/checksum-mismatch"
        assert await bruno.offset(path) == at
        right = await bruno.patch(path, at, b"abc", **checksum(b"abc", algorithm))
        assert right.status_code == 204
        at += 3
        assert await bruno.offset(path) == at


async def test_a_checksum_that_is_not_known_is_refused(bruno: Tus) -> None:
    path = await bruno.begin(3)
    for text in ("md5 CY9rzUYh03PK3k6DJie09g==", "sha1", "sha1 ***", "sha1 AAAA", ""):
        check_problem(await bruno.patch(path, 0, b"abc", Upload_Checksum=text), 400)
    assert await bruno.offset(path) == 0


# Expiration.


async def test_an_upload_says_when_it_expires(bruno: Tus) -> None:
    path = await bruno.begin(6)
    answer = await bruno.patch(path, 0, b"abc")
    expires = parsedate_to_datetime(answer.headers["upload-expires"]).timestamp()
    assert UPLOAD_SECONDS - 60 < expires - time.time() < UPLOAD_SECONDS + 60


# Termination.


async def test_an_upload_is_given_up(bruno: Tus) -> None:
    begun, whole = await bruno.begin(6), await bruno.upload(b"abc")
    for path in (begun, whole):
        answer = await bruno.ask("DELETE", path)
        assert answer.status_code == 204
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert (await bruno.ask("HEAD", path)).status_code == 404
        assert (await bruno.patch(path, 0, b"abc")).status_code == 404
        assert (await bruno.ask("GET", path)).status_code == 404
        assert (await bruno.ask("DELETE", path)).status_code == 404


# Whose they are.


async def test_a_stranger_sees_no_upload(bruno: Tus, ana: Tus) -> None:
    path = await bruno.begin(6)
    for method in ("HEAD", "GET", "DELETE"):
        assert (await ana.ask(method, path)).status_code == 404
    assert (await ana.patch(path, 0, b"abc")).status_code == 404
    assert (await bruno.ask("GET", path)).status_code == 404  # it is no file yet
    assert await bruno.offset(path) == 0


async def test_nobody_uploads_without_a_token(api: Api, bruno: Tus) -> None:
    nobody, path = Tus(api, {}), await bruno.begin(6)
    check_problem(await nobody.ask("POST", "/v1/files", Upload_Length="3"), 401)
    check_problem(await nobody.patch(path, 0, b"abc"), 401)
    for method in ("DELETE", "GET"):
        check_problem(await nobody.ask(method, path), 401)
    assert (await nobody.ask("HEAD", path)).status_code == 401


# Two at once.


async def test_a_second_patch_is_told_that_there_is_one(bruno: Tus) -> None:
    path, goes_on, began = await bruno.begin(6), asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"abc"
        began.set()
        await goes_on.wait()
        yield b"def"

    first = asyncio.create_task(bruno.patch(path, 0, slow()))
    await began.wait()
    check_problem(await bruno.patch(path, 0, b"uvwxyz"), 423)
    goes_on.set()
    assert (await first).status_code == 204
    assert (await bruno.ask("GET", path)).content == b"abcdef"


async def test_head_takes_an_upload_from_a_patch_that_stands_still(bruno: Tus) -> None:
    path, began = await bruno.begin(6), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"abc"
        began.set()
        await asyncio.Event().wait()

    first = asyncio.create_task(bruno.patch(path, 0, endless()))
    await began.wait()
    assert await bruno.offset(path) == 3
    answer = await first
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/fenced")
    assert answer.headers["connection"] == "close"
    assert (await bruno.patch(path, 3, b"def")).status_code == 204
    assert (await bruno.ask("GET", path)).content == b"abcdef"


async def test_names_are_cleaned(bruno: Tus) -> None:
    for name, wanted in [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\a.exe", "a.exe"),
        ("a\nb\r\n.txt", "ab.txt"),
        ("\u202egnp.exe", "gnp.exe"),
        ("..", "file"),
        ("", "file"),
        ("x" * 300 + ".tar", "x" * 196 + ".tar"),
    ]:
        path = await bruno.upload(PNG, **named(name))
        found = (await bruno.ask("GET", path)).headers["content-disposition"]
        assert found == f'inline; filename="{wanted}"', name


# Bytes that the store has lost.


async def test_an_upload_whose_bytes_are_lost_is_gone_and_begun_anew(
    bruno: Tus, tmp_path: Path
) -> None:
    """Fails when HEAD says to go on where no PATCH can."""
    path = await bruno.begin(6)
    await bruno.patch(path, 0, b"abc")
    (tail,) = (one for one in (tmp_path / "data" / "files").glob("??/**/*") if one.is_file())
    tail.unlink()
    assert await bruno.offset(path) == 3
    answer = await bruno.patch(path, 3, b"def")
    check_problem(answer, 503)
    assert answer.json()["detail"].endswith("begin the upload again")
    assert answer.headers["retry-after"] == "1"
    assert (await bruno.ask("HEAD", path)).status_code == 404
