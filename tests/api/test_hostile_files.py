"""Files, addresses and links that mean harm: refused, or served so that they do none."""

import uuid
from typing import Any

import pytest

from chat4all.adapters.sql.file_rows import change_file
from chat4all.domain.files import FileState, file_id
from tests.api.conftest import CHAT, Api
from tests.api.test_attached import send, shared, status, upload
from tests.api.test_http import check_problem
from tests.api.tus import PNG, Tus, named

pytestmark = pytest.mark.anyio

SCRIPT = b"<!DOCTYPE html><script>alert(document.domain)</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"

POLYGLOTS = [
    (b"GIF89a/*\0\0" + bytes(8) + b"*/=1;alert(1)//", "image/gif"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + SCRIPT, "image/jpeg"),
    (PNG + SVG + SCRIPT, "image/png"),
    (b"RIFF\x24\0\0\0WEBPVP8 " + SCRIPT, "image/webp"),
    (b"ID3\x04\0\0" + SCRIPT, "audio/mpeg"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + SCRIPT, "video/mp4"),
]
"""A picture, a recording or a film, and a page or a script as well."""

HIDDEN = [
    b"\xef\xbb\xbf" + SCRIPT,
    "<!DOCTYPE html><script>alert(1)</script>".encode("utf-16"),
    b"   \n\t" + SCRIPT,
    b"<!--" + b"x" * 600 + b"-->" + SCRIPT,
    b"<?xml version='1.0'?>" + SVG,
    b"\0" + PNG,
    b"%PDF-1.7\n1 0 obj<</S/JavaScript/JS(app.alert(1))>>",
    b"PK\x03\x04" + PNG + SCRIPT,
    b"alert(1)",
    b"body{background:url(/v1/users/me)}",
    b"CACHE MANIFEST\n",
]
"""What some program might take for a page, a script or a style."""

NAMES = ["a.html", "a.svg", "a.js", "a.png", "a.htm\u0131"]
CLAIMS = ["text/html", "image/svg+xml", "text/javascript", "image/png", "multipart/x-mixed-replace"]


def is_harmless(headers: Any) -> bool:
    """Say whether a browser runs nothing of an answer, and gives no other site its bytes."""
    return (
        headers.get_list("x-content-type-options") == ["nosniff"]
        and headers.get_list("content-security-policy")
        == ["sandbox; default-src 'none'; frame-ancestors 'none'"]
        and headers.get_list("cross-origin-resource-policy") == ["same-origin"]
        and "access-control-allow-origin" not in headers
    )


async def test_a_picture_that_is_a_program_too_is_shown_as_a_picture(api: Api) -> None:
    """Fails when what its uploader says of it, or its name, decides what a browser does."""
    bruno = Tus(api, await api.sign_in("bruno"))
    for number, (data, media_type) in enumerate(POLYGLOTS):
        claim = CLAIMS[number % len(CLAIMS)]
        path = await bruno.upload(data, **named(NAMES[number % len(NAMES)], claim))
        url = (await api.gateway.post(f"{path}/link", headers=bruno.who)).json()["url"]
        for asked, headers in ((path, bruno.who), (url, {}), (url, {"Range": "bytes=3-"})):
            answer = await api.gateway.get(asked, headers=headers)
            assert answer.headers["content-type"] == media_type
            assert is_harmless(answer.headers), (media_type, asked)


async def test_what_hides_that_it_is_a_program_is_saved_as_bytes(api: Api) -> None:
    bruno = Tus(api, await api.sign_in("bruno"))
    for number, data in enumerate(HIDDEN):
        claim = CLAIMS[number % len(CLAIMS)]
        path = await bruno.upload(data, **named(NAMES[number % len(NAMES)], claim))
        for headers in ({}, {"Range": "bytes=1-"}, {"Accept": "text/html"}):
            answer = await api.gateway.get(path, headers=bruno.who | headers)
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["content-disposition"].startswith("attachment; ")
            assert is_harmless(answer.headers), data


async def test_a_refusal_is_no_page(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for path in (f"/v1/files/{uuid.uuid4()}", "/v1/files/%3Cscript%3Ealert(1)%3C/script%3E"):
        answer = await api.gateway.get(f"{path}?link=<script>", headers=bruno)
        assert answer.status_code in (401, 404)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_address_leads_to_no_other_file(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    own, secret = await upload(api, ana), await upload(api, bruno)
    for path in (
        f"{own}/../{secret}",
        f"{own}/..%2f{secret}",
        f"{own}%2f..%2f{secret}",
        f"{own}/thumbnail/../../{secret}",
        f"{own};/{secret}",
        f"{secret}/",
        f"/{secret}",
        f"./{secret}",
        f"{secret}%0a",
        f"{secret}%00",
        f"{secret}.png",
        f"{{{secret}}}",
        f"{secret.replace('-', '')}",
        secret.upper(),
        "..%2f..%2fmetadata.db",
        "%2e%2e/%2e%2e/secret-key",
        "..%5c..%5csecret-key",
        "%252e%252e%252fsecret-key",
    ):
        for below in ("", "/thumbnail"):
            answer = await api.gateway.get(f"/v1/files/{path}{below}", headers=ana)
            assert answer.status_code == 404, path
    assert await status(api, ana, own.upper()) == 200


async def test_a_link_ends_with_the_right_and_gives_no_other(api: Api) -> None:
    """Whatever is below a file has the same rules as its bytes."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    mine, other = await upload(api, bruno), await upload(api, bruno)
    message = (await send(api, bruno, mine)).json()["message_id"]
    await send(api, bruno, other)
    await api.routed()
    made = await api.gateway.post(f"/v1/files/{mine}/link", headers=ana)
    token = made.json()["url"].partition("?")[2]

    async def asked(method: str, path: str, **more: Any) -> int:
        return (await api.gateway.request(method, f"/v1/files/{path}?{token}", **more)).status_code

    for below in ("", "/thumbnail"):
        assert await asked("GET", mine + below) == 200
        assert await asked("GET", other + below) == 401
    resumable = {"Tus-Resumable": "1.0.0"}
    assert await asked("POST", f"{mine}/link") == 401
    assert await asked("HEAD", mine, headers=resumable) == 401
    for method in ("PATCH", "DELETE"):
        assert await asked(method, mine, headers=resumable) == 401
        override = resumable | {"X-HTTP-Method-Override": method}
        assert await asked("POST", mine, headers=override) == 401
    # Two links: the first one counts, whatever comes after it.
    twice = f"{mine}?link=x&{token}"
    assert (await api.gateway.get(f"/v1/files/{twice}")).status_code == 401
    path = f"/v1/conversations/{CHAT}/messages/{message}"
    assert (await api.gateway.delete(path, headers=bruno)).status_code == 202
    for below in ("", "/thumbnail"):
        assert await asked("GET", mine + below) == 404


async def test_what_is_not_whole_or_was_refused_is_given_to_nobody(api: Api) -> None:
    """Not to its owner either, and not by a link that was made before."""
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    begun = (await Tus(api, bruno).begin(2 * len(PNG))).rpartition("/")[2]
    assert (await Tus(api, bruno).patch(f"/v1/files/{begun}", 0, PNG)).status_code == 204
    for below in ("", "/thumbnail"):
        assert await status(api, bruno, begun, below) == 404
    check_problem(await api.gateway.post(f"/v1/files/{begun}/link", headers=bruno), 404)
    file = await upload(api, bruno)
    assert (await send(api, bruno, file)).status_code == 202
    url = (await api.gateway.post(f"/v1/files/{file}/link", headers=ana)).json()["url"]
    token = url.partition("?")[2]
    files: Any = api.parts.people.files
    for state in (FileState.CHECKING, FileState.REFUSED):
        await files._database.write(
            lambda connection, state=state: change_file(
                connection, file_id(file), state=state.value
            )
        )
        for who in (bruno, ana):
            for below in ("", "/thumbnail"):
                assert await status(api, who, file, below) == 409
        for below in ("", "/thumbnail"):
            answer = await api.gateway.get(f"/v1/files/{file}{below}?{token}")
            assert answer.status_code == 409
        assert (await send(api, bruno, file)).status_code == 409


async def test_a_member_who_was_removed_has_no_way_back_to_a_file(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    chat, file = await shared(api, bruno)
    tag = (await api.gateway.get(f"/v1/files/{file}", headers=ana)).headers["etag"]
    small = (await api.gateway.get(f"/v1/files/{file}/thumbnail", headers=ana)).headers["etag"]
    left = await api.metadata.delete(f"/v1/conversations/{chat}/members/ana", headers=bruno)
    assert left.status_code == 204
    body = {"type": "group", "title": "Sea", "members": ["bruno"]}
    made = await api.metadata.post("/v1/conversations", json=body, headers=ana)
    own = made.json()["conversation_id"]
    for target in (chat, own, CHAT):  # to send it on would let them in again
        assert (await send(api, ana, file, chat_id=target)).status_code in (403, 404, 422)
    for path, known in ((f"/v1/files/{file}", tag), (f"/v1/files/{file}/thumbnail", small)):
        conditions = ({"If-None-Match": known}, {"If-None-Match": "*"}, {"Range": "bytes=0-0"})
        for headers in ({}, *conditions):
            for method in ("GET", "HEAD"):
                answer = await api.gateway.request(method, path, headers=ana | headers)
                assert answer.status_code == 404, (method, path, headers)
    check_problem(await api.gateway.post(f"/v1/files/{file}/link", headers=ana), 404)
    check_problem(await Tus(api, ana).ask("DELETE", f"/v1/files/{file}"), 404)
    assert (await Tus(api, ana).ask("HEAD", f"/v1/files/{file}")).status_code == 404


async def test_a_message_gives_its_file_a_name_without_folders(api: Api) -> None:
    """Fails when a client that saves it under that name writes somewhere else."""
    bruno = await api.sign_in("bruno")
    file = await upload(api, bruno)
    for name, shown in (
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system.ini", "system.ini"),
        ("/root/.ssh/authorized_keys", "authorized_keys"),
        ("..", "file"),
        ("praia/", "file"),
        ("praia 2.png", "praia 2.png"),
    ):
        answer = await send(api, bruno, file, payload={"file_id": file, "name": name})
        assert answer.status_code == 202, answer.text
        await api.routed()
        assert (await api.history(bruno))[-1]["payload"]["name"] == shown
