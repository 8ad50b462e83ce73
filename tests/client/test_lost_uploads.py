"""What the Python client does about an upload that the server does not have any more."""

from pathlib import Path

import pytest

from chat4all.client import Client, NotFound, UploadsFile
from tests.client.answering import Answer, answering
from tests.client.conftest import PACE

pytestmark = pytest.mark.anyio


def at(name: str) -> Answer:
    return 201, "", {"Location": f"/v1/files/{name}"}


async def test_an_upload_that_is_gone_in_the_middle_is_begun_anew(tmp_path: Path) -> None:
    """As one is of which the server has lost bytes. Fails when its file cannot be sent."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"abcdef")
    uploads = UploadsFile(tmp_path / "uploads.json")
    gone: Answer = (404, "")
    whole: Answer = (204, "", {"Upload-Offset": "6"})
    async with (
        answering(at("one"), (503, ""), gone, gone, at("two"), whole) as server,
        Client(server.url, token="t") as chat,
    ):
        chat._pace.factor = PACE
        assert await chat.upload(path, uploads=uploads) == "two"
    asked = [(method, where.rpartition("/")[2]) for method, where, *_ in server.requests]
    assert asked == [
        ("POST", "files"),
        ("PATCH", "one"),
        ("HEAD", "one"),
        ("HEAD", "one"),  # as another run of the program would ask
        ("POST", "files"),
        ("PATCH", "two"),
    ]
    # But not for ever.
    async with (
        answering(at("one"), gone, at("two"), gone) as server,
        Client(server.url, token="t") as chat,
    ):
        with pytest.raises(NotFound):
            await chat.upload(path)
    assert len(server.requests) == 4
