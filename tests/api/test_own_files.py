"""`GET /v1/files`: what a user has uploaded, and what a reached quota says to delete."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chat4all.domain.times import parse_milliseconds
from tests.api.conftest import CHAT, Api, running
from tests.api.test_attached import send, upload
from tests.api.test_http import check_problem
from tests.api.tus import PNG, RESUMABLE, Tus, named

pytestmark = pytest.mark.anyio

PATH = "/v1/files"
QUOTA = 100


async def listed(api: Api, who: dict[str, str], query: str = "") -> Any:
    answer = await api.gateway.get(PATH + query, headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Api]:
    """Users have little room here."""
    async with running(tmp_path / "data", files_per_user=QUOTA) as found:
        yield found


async def test_files_and_unfinished_uploads_are_listed(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    assert await listed(api, bruno) == []
    sent = await upload(api, bruno, PNG, "praia.png")
    begun = (await Tus(api, bruno).begin(1_000, **named("filme.mp4", "video/mp4"))).split("/")[-1]
    message = (await send(api, bruno, sent)).json()["message_id"]
    found = {one["file_id"]: one for one in await listed(api, bruno)}
    assert found.keys() == {sent, begun}
    created, expires = found[begun].pop("created_at"), found[begun].pop("expires_at")
    assert parse_milliseconds(expires) > parse_milliseconds(created)
    assert found[begun] == {
        "file_id": begun,
        "name": "filme.mp4",
        "size": 1_000,
        "type": "video/mp4",
        "state": "uploading",
        "in_use": False,
        "messages": [],
    }
    assert parse_milliseconds(found[sent].pop("created_at")) > 0
    assert found[sent] == {
        "file_id": sent,
        "name": "praia.png",
        "size": len(PNG),
        "type": "image/png",
        "state": "ready",
        "in_use": True,
        "expires_at": None,
        "messages": [{"conversation_id": CHAT, "message_id": message}],
    }
    assert await listed(api, ana) == []  # who may read a file does not own it


async def test_links_lead_through_all_files(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    sizes = [40, 60, 50, 60, 45]
    made = [await upload(api, bruno, PNG.ljust(size, b"x")) for size in sizes]
    by_size = [[made[1], made[3]], [made[2]], [made[4]], [made[0]]]
    for query in ("?limit=2", "?limit=2&order=newest", "?limit=2&order=largest"):
        found: list[Any] = []
        path: str | None = PATH + query
        while path is not None:
            answer = await api.gateway.get(path, headers=bruno)
            assert 1 <= len(answer.json()) <= 2
            found += answer.json()
            path = answer.links.get("next", {}).get("url")
        ids = [one["file_id"] for one in found]
        assert len(ids) == len(set(ids)) == len(made)
        if "largest" in query:
            assert {*ids[:2]} == {*by_size[0]}
            assert ids[2:] == [only for (only,) in by_size[1:]]
        else:
            times = [one["created_at"] for one in found]
            assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=201", "/query/limit"),
        ("order=oldest", "/query/order"),
        ("cursor=x", "/query/cursor"),
        *[
            (f"cursor={base64.urlsafe_b64encode(place.encode()).decode()}", "/query/cursor")
            for place in (
                "x",
                "1",
                "1 x",
                "-1 550e8400-e29b-41d4-a716-446655440000",
                f"{'9' * 16} 550e8400-e29b-41d4-a716-446655440000",
                "\u0661 550e8400-e29b-41d4-a716-446655440000",
            )
        ],
    ],
)
async def test_a_query_that_is_none_is_refused(api: Api, query: str, pointer: str) -> None:
    bruno = await api.sign_in("bruno")
    answer = await api.gateway.get(f"{PATH}?{query}", headers=bruno)
    problem = check_problem(answer, 422)
    assert [one["pointer"] for one in problem["errors"]] == [pointer]


async def test_the_list_and_tus_share_a_path(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    # The header of tus changes nothing: a list is no upload.
    for headers in ({}, RESUMABLE):
        assert (await api.gateway.get(PATH, headers=bruno | headers)).json() == []
        head = await api.gateway.head(PATH, headers=bruno | headers)
        assert (head.status_code, head.content) == (200, b"")
        assert "upload-offset" not in head.headers
    assert (await api.gateway.options(PATH)).headers["tus-version"] == "1.0.0"
    check_problem(await api.gateway.post(PATH, headers=bruno), 412)
    for method in ("GET", "HEAD", "PATCH", "DELETE"):
        override = {"X-HTTP-Method-Override": method, "Upload-Length": "3"}
        answer = await api.gateway.post(PATH, headers=bruno | RESUMABLE | override)
        # GET is none that a proxy would not pass on.
        assert answer.status_code == (201 if method == "GET" else 405)
    refused = await api.gateway.put(PATH, headers=bruno)
    assert check_problem(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert len(await listed(api, bruno)) == 1


async def test_what_a_reached_quota_says_makes_room(small: Api) -> None:
    """Word by word: the list, the deletion of what no message has, and that of a message."""
    bruno = await small.sign_in("bruno")
    tus, body = Tus(small, bruno), PNG.ljust(45, b"x")
    sent, kept = await upload(small, bruno, body), await upload(small, bruno, body + b"x")
    message = (await send(small, bruno, sent)).json()["message_id"]
    refused = check_problem(await tus.ask("POST", PATH, Upload_Length="45"), 413)
    assert refused["type"] == "/problems/quota-reached"
    detail = refused["detail"]
    assert "91 bytes of 100 bytes" in detail
    for told in ("GET /v1/files?order=largest", "DELETE /v1/files/{file_id}", "the last of these"):
        assert told in detail
    found = await listed(small, bruno, "?order=largest")
    assert [one["file_id"] for one in found] == [kept, sent]
    check_problem(await tus.ask("DELETE", f"{PATH}/{sent}"), 409)
    assert (await tus.ask("DELETE", f"{PATH}/{kept}")).status_code == 204
    await tus.upload(body)
    assert (await tus.ask("POST", PATH, Upload_Length="45")).status_code == 413
    (named_by,) = next(one["messages"] for one in found if one["in_use"])
    assert named_by == {"conversation_id": CHAT, "message_id": message}
    await small.routed()
    path = f"/v1/conversations/{CHAT}/messages/{message}"
    assert (await small.gateway.delete(path, headers=bruno)).status_code == 202
    assert sent not in [one["file_id"] for one in await listed(small, bruno)]
    await tus.upload(body)


@pytest.mark.thorough
async def test_too_many_unfinished_uploads_are_told_with_what_to_delete(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    tus = Tus(api, bruno)
    begun = [await tus.begin(1) for _ in range(20)]
    refused = check_problem(await tus.ask("POST", PATH, Upload_Length="1"), 413)
    assert "20 uploads" in refused["detail"]
    assert "DELETE /v1/files/{file_id}" in refused["detail"]
    found = await listed(api, bruno)
    assert {f"{PATH}/{one['file_id']}" for one in found} == {*begun}
    assert (await tus.ask("DELETE", begun[0])).status_code == 204
    await tus.begin(1)
