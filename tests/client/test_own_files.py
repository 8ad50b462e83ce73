"""One's own files by the Python client: listed page by page, and deleted."""

from pathlib import Path

import pytest

from chat4all.client import Client, Conflict, InvalidInput, NotFound
from tests.api.conftest import CHAT
from tests.api.tus import PNG
from tests.client.answering import LOST, Answer, answering
from tests.client.conftest import PACE

pytestmark = pytest.mark.anyio

FILE = "01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b"


async def test_your_files_are_listed_page_by_page(bruno: Client, tmp_path: Path) -> None:
    path = tmp_path / "mar.png"
    made = []
    for size in (50, 70, 60):
        path.write_bytes(PNG.ljust(size, b"x"))
        made.append(await bruno.upload(path))
    sent = await bruno.send(CHAT, kind="image", payload={"file_id": made[0]})
    largest = [one async for one in bruno.files(order="largest", limit=2)]
    assert [one.file_id for one in largest] == [made[1], made[2], made[0]]
    assert [one.size for one in largest] == [70, 60, 50]
    newest = [one async for one in bruno.files(limit=1)]
    assert {one.file_id for one in newest} == {*made}
    times = [one.created_at for one in newest]
    assert times == sorted(times, reverse=True)
    first = largest[-1]
    assert (first.name, first.type, first.state) == ("mar.png", "image/png", "ready")
    assert (first.in_use, first.expires_at) == (True, None)
    assert [(one.conversation_id, one.message_id) for one in first.messages] == [(CHAT, sent)]
    with pytest.raises(Conflict):
        await bruno.delete_file(made[0])
    await bruno.delete_file(made[1])
    assert {one.file_id async for one in bruno.files()} == {made[0], made[2]}
    with pytest.raises(InvalidInput):
        await anext(bruno.files(order="oldest"))


async def test_a_file_of_a_later_release_is_read() -> None:
    file = {
        "file_id": FILE,
        "name": "a.txt",
        "size": 4,
        "type": "text/plain",
        "state": "archived",
        "created_at": "2026-01-31T12:00:00.000Z",
        "in_use": False,
        "expires_at": None,
        "messages": [],
        "more": 1,
    }
    async with answering((200, [file])) as server, Client(server.url, token="t") as chat:
        assert [one.state async for one in chat.files()] == ["archived"]


async def test_a_file_whose_deletion_was_not_answered_is_deleted_once() -> None:
    gone: Answer = (404, {"type": "/problems/not-found", "title": "", "detail": "no such file"})
    async with answering(LOST, gone) as server, Client(server.url, token="t") as chat:
        chat._pace.factor = PACE
        await chat.delete_file(FILE)
        assert len(server.requests) == 2
        with pytest.raises(NotFound):
            await chat.delete_file(FILE)
