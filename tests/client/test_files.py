"""Files by the Python client: sent once, gone on with after breaks, and checked when they come."""

import asyncio
import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from chat4all.client import (
    Client,
    Conflict,
    Defect,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
    UploadsFile,
)
from chat4all.client import downloading as downloading_module
from chat4all.client import uploading as uploading_module
from chat4all.client.keeping import lock_exclusively
from chat4all.client.uploading import LocalFile
from tests.api.conftest import CHAT
from tests.api.tus import PNG
from tests.client.answering import LOST, Answer, answering
from tests.client.conftest import PACE, Served
from tests.client.cutting import Cutting, cutting

pytestmark = pytest.mark.anyio

SIZE = 3_000_000


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "film.bin"
    path.write_bytes(os.urandom(SIZE))
    return path


def content(path: Path) -> bytes:
    return path.read_bytes()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


def through(way: Cutting, username: str = "bruno") -> Client:
    client = Client(way.url, username, "test")
    client._pace.factor = PACE
    return client


async def payload_of(client: Client, message_id: str) -> dict[str, object]:
    async with asyncio.timeout(10):
        while True:
            message = await client.message(CHAT, message_id)
            if message.seq is not None:
                assert message.payload is not None
                return dict(message.payload)
            await asyncio.sleep(0.01)


async def test_a_picture_is_sent_and_saved(bruno: Client, ana: Client, tmp_path: Path) -> None:
    picture = tmp_path / "mar.png"
    picture.write_bytes(PNG)
    seen: list[tuple[int, int]] = []
    sent = await bruno.send_file(
        CHAT, picture, "look", alt="The sea", on_progress=lambda *of: seen.append(of)
    )
    message = await ana.message(CHAT, sent)
    assert (message.kind, message.content) == ("image", "look")
    payload = await payload_of(ana, sent)
    assert (payload["name"], payload["alt"], payload["size"]) == ("mar.png", "The sea", len(PNG))
    assert seen[0] == (0, len(PNG))
    assert seen[-1] == (len(PNG), len(PNG))
    target = tmp_path / "saved.png"
    await ana.download(str(payload["file_id"]), target)
    assert target.read_bytes() == PNG
    assert not names(tmp_path, "*.part")


async def test_what_is_called_a_picture_and_is_none_is_sent_as_a_file(
    bruno: Client, tmp_path: Path
) -> None:
    path = tmp_path / "not.png"
    path.write_bytes(b"just text")
    sent = await bruno.send_file(CHAT, path)
    assert (await bruno.message(CHAT, sent)).kind == "file"


async def test_an_upload_goes_on_where_the_server_has_come_to(
    served: Served, big: Path, tmp_path: Path
) -> None:
    """Fails when a break begins it anew: then far more than the file would be sent."""
    async with cutting(served.url, *[1_000_000, 20_000, 900_000, 300]) as way:
        async with through(way) as bruno:
            sent = await bruno.send_file(CHAT, big)
            payload = await payload_of(bruno, sent)
        assert way.broken >= 3
        # A server loses some 320 KB of what has arrived when a connection breaks; none of it was
        # acknowledged. Begun anew, it would be 1,900,000 more.
        assert way.sent < SIZE + 1_000_000
    async with served.client("ana") as ana:
        await ana.download(str(payload["file_id"]), tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == content(big)


@pytest.mark.thorough
async def test_a_later_run_goes_on_and_the_message_is_there_once(
    served: Served, big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when uploads are not kept, and when a later run's message has another id."""
    monkeypatch.setattr(uploading_module, "REQUEST_BYTES", 500_000)
    uploads = UploadsFile(tmp_path / "uploads.json")
    reached = asyncio.Event()
    async with cutting(served.url) as way:
        async with through(way) as bruno:
            running = asyncio.create_task(
                bruno.send_file(
                    CHAT,
                    big,
                    uploads=uploads,
                    on_progress=lambda done, _: reached.set() if done > SIZE // 2 else None,
                )
            )
            await reached.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        before = way.sent
        async with through(way) as bruno:
            first = await bruno.send_file(CHAT, big, uploads=uploads)
        assert way.sent - before < SIZE * 2 // 3
    assert (tmp_path / "uploads.json").read_bytes() == b"{}"
    # A run that was killed when the message was sent, and not noted yet.
    kept = UploadsFile(tmp_path / "kept.json")
    forget, lost = UploadsFile.keep, [True]

    async def keep(self: UploadsFile, key: str, address: str | None) -> None:
        if address is None and lost.pop():
            raise asyncio.CancelledError
        await forget(self, key, address)

    monkeypatch.setattr(UploadsFile, "keep", keep)
    async with served.client("bruno") as bruno:
        with pytest.raises(asyncio.CancelledError):
            await bruno.send_file(CHAT, big, uploads=kept)
        monkeypatch.setattr(UploadsFile, "keep", forget)
        second = await bruno.send_file(CHAT, big, uploads=kept)
        assert second != first
        await payload_of(bruno, second)
        sent = [m.message_id async for page in bruno.history(CHAT) for m in page.messages]
    assert sorted(sent) == sorted([first, second])


async def test_a_file_that_changes_meanwhile_is_not_sent(
    bruno: Client, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading_module, "REQUEST_BYTES", 500_000)

    def change(done: int, _: int) -> None:
        if done == 500_000:
            big.write_bytes(b"other")

    with pytest.raises(ValueError, match="was changed"):
        await bruno.send_file(CHAT, big, on_progress=change)
    assert [page async for page in bruno.history(CHAT)] == []


async def test_a_download_goes_on_over_breaks_and_runs(
    served: Served, big: Path, tmp_path: Path
) -> None:
    target = tmp_path / "saved"
    async with served.client("bruno") as bruno:
        file_id = await bruno.upload(big)
    reached = asyncio.Event()
    async with served.client("bruno") as bruno:
        running = asyncio.create_task(
            bruno.download(
                file_id,
                target,
                on_progress=lambda done, _: reached.set() if done > 500_000 else None,
            )
        )
        await reached.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not target.exists()
    seen: list[int] = []
    async with cutting(served.url, 600_000) as way, through(way) as bruno:
        await bruno.download(file_id, target, on_progress=lambda done, _: seen.append(done))
    assert seen[0] > 500_000
    assert way.broken == 1
    assert target.read_bytes() == content(big)


async def test_a_download_that_was_whole_is_checked_at_the_next_run(
    bruno: Client, big: Path, tmp_path: Path
) -> None:
    file_id = await bruno.upload(big)
    target = tmp_path / "saved"
    part = tmp_path / f"saved.{file_id[-12:]}.part"
    part.write_bytes(content(big))
    await bruno.download(file_id, target)
    assert target.read_bytes() == content(big)
    # Bytes that are not the file's are found out, and are not gone on with for ever.
    part.write_bytes(b"something else")
    with pytest.raises(Defect):
        await bruno.download(file_id, target)
    await bruno.download(file_id, target)
    assert target.read_bytes() == content(big)


async def test_an_empty_file_and_one_that_is_not_there(
    bruno: Client, ana: Client, tmp_path: Path
) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    file_id = await bruno.upload(path)
    await bruno.download(file_id, tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == b""
    with pytest.raises(FileNotFoundError):
        await bruno.upload(tmp_path / "missing")
    with pytest.raises(NotFound):
        await ana.download(file_id, tmp_path / "stolen")
    assert not (tmp_path / "stolen").exists()
    await bruno.delete_file(file_id)
    with pytest.raises(NotFound):
        await bruno.download(file_id, tmp_path / "saved")


async def test_a_link_needs_no_token(served: Served, bruno: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"text")
    file_id = await bruno.upload(path)
    link = await bruno.file_link(file_id)
    assert (await served.api.gateway.get(link.url)).content == b"text"


async def test_uploads_at_once_are_all_kept(tmp_path: Path) -> None:
    """Fails when one takes the other's entry away: its message would be sent twice."""
    kept = [UploadsFile(tmp_path / "uploads.json") for _ in range(8)]
    await asyncio.gather(*(file.keep(f"k{n}", f"a{n}") for n, file in enumerate(kept)))
    found = [await kept[0].find(f"k{n}") for n in range(8)]
    assert found == [f"a{n}" for n in range(8)]
    assert mode(tmp_path / "uploads.json") == mode(tmp_path / "uploads.json.lock") == 0o600


async def test_downloads_of_two_files_to_one_place_are_not_mixed(
    bruno: Client, tmp_path: Path
) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, byte in zip(paths, b"ab", strict=True):
        path.write_bytes(bytes([byte]) * 600_000)
    ids = [await bruno.upload(path) for path in paths]
    target = tmp_path / "saved"
    await asyncio.gather(*(bruno.download(file_id, target) for file_id in ids))
    assert target.read_bytes() in [content(path) for path in paths]
    same = await asyncio.gather(
        *(bruno.download(ids[0], tmp_path / "same") for _ in range(2)), return_exceptions=True
    )
    assert content(tmp_path / "same") == content(paths[0])
    assert {type(one) for one in same} <= {type(None), FileExistsError}
    assert not names(tmp_path, "*.part")


async def test_what_is_there_is_replaced_only_if_that_is_meant(
    bruno: Client, big: Path, tmp_path: Path
) -> None:
    file_id = await bruno.upload(big)
    target = tmp_path / "saved"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        await bruno.download(file_id, target, replaces=False)
    assert content(target) == b"mine"
    await bruno.download(file_id, target)
    assert content(target) == content(big)


async def test_what_is_there_is_seen_before_anything_is_downloaded(tmp_path: Path) -> None:
    target = tmp_path / "saved"
    target.symlink_to(tmp_path / "nowhere")
    async with answering((500, "")) as server, Client(server.url, token="t") as chat:
        with pytest.raises(FileExistsError):
            await chat.download(FILE, target, replaces=False)
        assert server.requests == []


async def test_a_part_that_has_become_the_file_is_left_alone(tmp_path: Path) -> None:
    """Fails when the second of two downloads writes into what the first has finished."""
    part, target = tmp_path / "part", tmp_path / "saved"
    part.write_bytes(b"whole")
    with part.open("a+b") as second:
        part.replace(target)
        with pytest.raises(FileExistsError):
            lock_exclusively(second, part)
    with part.open("a+b"), target.open("a+b") as second, pytest.raises(FileExistsError):
        lock_exclusively(second, part)


CHECKED: Answer = (
    409,
    {"type": "/problems/conflict", "title": "", "detail": "still being checked"},
    {"Retry-After": "20"},
)
FILE = "01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b"
BEGUN: Answer = (201, {}, {"Location": f"/v1/files/{FILE}"})


@pytest.mark.thorough
async def test_a_file_that_is_being_checked_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than for anything else: the time-out is over with the first answer."""
    (tmp_path / "a.txt").write_bytes(b"text")
    patched: Answer = (204, "", {"Upload-Offset": "4"})
    accepted: Answer = (202, {"message_id": "m", "status": "accepted"})
    digest = hashlib.sha256(b"text").hexdigest()
    file: Answer = (200, "text", {"ETag": f'"{digest}"'})
    answers = [BEGUN, patched, *[CHECKED] * 4, accepted, *[CHECKED] * 4, file]
    async with (
        answering(*answers, CHECKED) as server,
        Client(server.url, token="t", timeout=0.1) as chat,
    ):
        chat._pace.factor = PACE
        sent = await chat.send_file(CHAT, tmp_path / "a.txt")
        bodies = [body for method, path, _, body in server.requests if path == "/v1/messages"]
        assert [body["message_id"] for body in bodies] == [sent] * 5
        await chat.download(FILE, tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes() == b"text"
        monkeypatch.setattr(downloading_module, "CHECK_SECONDS", 0.3)
        with pytest.raises(Unavailable, match="still being checked"):
            await chat.download(FILE, tmp_path / "again")


async def test_nothing_is_waited_for_that_comes_after_the_time_out(tmp_path: Path) -> None:
    """A server that asks for an hour: the program is told now."""
    (tmp_path / "a.txt").write_bytes(b"text")
    problem = {"type": "/problems/x", "title": "", "detail": ""}
    later: Answer = (503, problem, {"Retry-After": "3600"})
    async with (
        answering(BEGUN, later) as server,
        Client(server.url, token="t") as chat,
        asyncio.timeout(20),
    ):
        for calls, transfer in (
            (2, chat.upload(tmp_path / "a.txt")),
            (3, chat.download(FILE, tmp_path / "saved")),
        ):
            with pytest.raises(Unavailable) as failed:
                await transfer
            assert failed.value.retry_after == 3600
            assert len(server.requests) == calls


async def test_an_upload_that_is_done_is_told_even_if_that_cannot_be_noted(
    bruno: Client, big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = UploadsFile.keep

    async def full(self: UploadsFile, key: str, address: str | None) -> None:
        if address is None:
            raise OSError(errno.ENOSPC, "no space left")
        await keep(self, key, address)

    monkeypatch.setattr(UploadsFile, "keep", full)
    file_id = await bruno.upload(big, uploads=UploadsFile(tmp_path / "uploads.json"))
    await bruno.download(file_id, tmp_path / "saved")
    assert content(tmp_path / "saved") == content(big)


async def test_a_server_without_files_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text")
    problem = {"type": "/problems/x", "title": "", "detail": "this installation keeps no files"}
    async with answering((501, problem)) as server, Client(server.url, token="t") as chat:
        with pytest.raises(Refused, match="keeps no files"):
            await chat.send_file(CHAT, tmp_path / "a.txt")
        assert len(server.requests) == 1


async def test_bytes_that_cannot_be_sent_leave_no_outcome_open(tmp_path: Path) -> None:
    """Nothing was sent: scripts are told to try again, not to look first."""
    (tmp_path / "a.txt").write_bytes(b"text")
    begun: Answer = (201, {}, {"Location": "/v1/files/01980f4e-9b2a-7c31-8d44-5a1f2e3d4c5b"})
    head: Answer = (200, "", {"Upload-Offset": "0"})
    full: Answer = (507, {"type": "/problems/out-of-space", "title": "", "detail": "full"})
    async with (
        answering(begun, *[full, head] * 200) as server,
        Client(server.url, token="t", timeout=0.3) as chat,
    ):
        chat._pace.factor = PACE
        with pytest.raises(Unavailable) as failed:
            await chat.send_file(CHAT, tmp_path / "a.txt")
        assert not isinstance(failed.value, OutcomeUnknown)
    async with answering(LOST) as server, Client(server.url, token="t", timeout=0.3) as chat:
        chat._pace.factor = PACE
        with pytest.raises(Unavailable) as failed:
            await chat.send_file(CHAT, tmp_path / "a.txt")
        assert not isinstance(failed.value, OutcomeUnknown)


BUSY: Answer = (423, "", {"Retry-After": "3"})
FENCED: Answer = (409, "")
WHOLE: Answer = (200, "", {"Upload-Offset": "4"})


@pytest.mark.parametrize("meanwhile", [(BUSY, BUSY), (FENCED, FENCED), (FENCED, BUSY)])
async def test_an_upload_that_is_being_finished_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: tuple[Answer, ...]
) -> None:
    """The connection breaks after the last byte; another run asks while it is still going on."""
    (tmp_path / "a.txt").write_bytes(b"text")
    uploads = UploadsFile(tmp_path / "uploads.json")
    async with (
        answering(BEGUN, LOST, *meanwhile, WHOLE) as server,
        Client(server.url, token="t") as chat,
    ):
        chat._pace.factor = PACE
        assert await chat.upload(tmp_path / "a.txt") == FILE
        methods = [method for method, *_ in server.requests]
        assert methods == ["POST", "PATCH", "HEAD", "HEAD", "HEAD"]
    # The larger the file, the longer: here 40 s.
    monkeypatch.setattr(uploading_module, "CHECKED_BYTES", 0.1)
    async with (
        answering(*meanwhile, WHOLE) as server,
        Client(server.url, token="t", timeout=0.001) as chat,
    ):
        chat._pace.factor = PACE
        key = LocalFile.at(tmp_path / "a.txt").key_at(server.url)
        await uploads.keep(key, f"/v1/files/{FILE}")
        assert await chat.upload(tmp_path / "a.txt", uploads=uploads) == FILE
        assert [method for method, *_ in server.requests] == ["HEAD"] * 3


@pytest.mark.parametrize(("answer", "kind"), [(BUSY, Unavailable), (FENCED, Conflict)])
async def test_an_upload_that_is_never_finished_is_given_up(
    tmp_path: Path, answer: Answer, kind: type[Exception]
) -> None:
    (tmp_path / "a.txt").write_bytes(b"text")
    async with (
        answering(BEGUN, LOST, answer) as server,
        Client(server.url, token="t", timeout=1.0) as chat,
        asyncio.timeout(30),
    ):
        chat._pace.factor = PACE
        with pytest.raises(kind):
            await chat.upload(tmp_path / "a.txt")
        assert len(server.requests) > 3


@pytest.mark.parametrize("status", [408, 423, 503])
async def test_a_request_that_stalled_is_gone_on_with(tmp_path: Path, status: int) -> None:
    """Fails when a 408, of a proxy, ends the upload."""
    (tmp_path / "a.txt").write_bytes(b"text")
    some: Answer = (200, "", {"Upload-Offset": "1"})
    rest: Answer = (204, "", {"Upload-Offset": "4"})
    async with (
        answering(BEGUN, (status, ""), some, rest) as server,
        Client(server.url, token="t") as chat,
    ):
        chat._pace.factor = PACE
        assert await chat.upload(tmp_path / "a.txt") == FILE
        *_, (method, _, headers, body) = server.requests
        assert (method, headers["upload-offset"], body) == ("PATCH", "1", b"ext")
