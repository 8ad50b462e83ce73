"""Files of equal content share an object on the disk, and nobody can tell."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from chat4all.adapters.embedded.object_files import extents_of, place_of
from chat4all.commands.restore import put_back
from chat4all.concurrency.retrying import Backoff
from chat4all.domain.errors import Conflict, NotFound, Unavailable
from chat4all.domain.files import (
    GARBAGE_SECONDS,
    PART_BYTES,
    REPLACED_SECONDS,
    FileId,
    StoredFile,
)
from chat4all.domain.ids import Username
from chat4all.operations import backup_files, backups
from chat4all.operations.backup_files import File
from chat4all.usecases import finishing as module
from chat4all.usecases.collecting import Collecting
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.finishing import Finishing
from chat4all.usecases.sharing_objects import AT_ONCE, SharingObjects
from tests.api.conftest import Api, running
from tests.api.test_garbage import stored
from tests.api.tus import PNG, Tus, named
from tests.contract.test_directory import group
from tests.contract.test_files_known import use_of

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 4_000
"""More than one piece of a download."""


@pytest.fixture
async def bruno(api: Api) -> Tus:
    return Tus(api, await api.sign_in("bruno"))


@pytest.fixture
async def ana(api: Api) -> Tus:
    return Tus(api, await api.sign_in("ana"))


def collecting(api: Api) -> Collecting:
    return Collecting(api.parts.people.files, api.parts.blobs)


async def share(api: Api) -> None:
    await SharingObjects(api.parts.people.sharing, api.parts.blobs).share()


def age(folder: Path, seconds: int) -> None:
    """Let time pass for the garbage."""
    with sqlite3.connect(folder / "data" / "metadata.db", timeout=30) as db:
        for column in ("expires_at", "given_until", "emptied_at"):
            db.execute(
                f"UPDATE files SET {column} = {column} - ? WHERE given_until IS NOT NULL",
                (seconds * 1_000,),
            )
    db.close()


async def file_of(api: Api, path: str, owner: str) -> StoredFile:
    return await api.parts.people.files.find(FileId(path.rpartition("/")[2]), Username(owner))


class Watched:
    """What an uploader can see, and what work the store had with it."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[object] = []
        for name in ("begin", "write", "finish", "put", "read", "delete"):
            monkeypatch.setattr(api.parts.blobs, name, self._noted(api.parts.blobs, name))

    def _noted(self, blobs: object, name: str) -> Any:
        method = getattr(blobs, name)

        def noted(*arguments: Any, **named: Any) -> Any:
            self.seen.append(name)
            return method(*arguments, **named)

        return noted

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Leave out what is done in no request."""
        before = list(self.seen)
        yield
        self.seen = before

    def note(self, answer: httpx.Response) -> None:
        """Note all of an answer that is not about this one request or file."""
        its_own = {"location", "x-request-id", "upload-expires", "ratelimit", "etag", "date"}
        headers: Mapping[str, str] = answer.headers
        kept = {name: value for name, value in headers.items() if name not in its_own}
        self.seen.append((answer.status_code, kept))


@pytest.mark.thorough
async def test_nothing_tells_that_somebody_else_has_a_file(
    api: Api, bruno: Tus, ana: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = await bruno.upload(PNG, **named("praia.png"))
    await share(api)
    assert (await bruno.ask("GET", f"{theirs}/thumbnail")).status_code == 200
    watched = Watched(api, monkeypatch)
    outcomes: list[Sequence[object]] = []
    for content in (PNG, PNG[:-1] + b"x"):
        watched.seen = []
        before = await api.parts.people.files.used(Username("ana"))
        begun = await ana.ask("POST", "/v1/files", Upload_Length=str(len(content)))
        path = begun.headers["location"]
        watched.note(begun)
        watched.note(await ana.patch(path, 0, content))
        for _ in range(2):
            watched.note(await ana.ask("HEAD", path))
            got = await ana.ask("GET", path, Tus_Resumable="1.0.0")
            assert got.content == content
            watched.note(got)
            watched.note(await ana.patch(path, len(content), b""))
            used = await api.parts.people.files.used(Username("ana"))
            watched.seen.append(used - before)
            with watched.unseen():
                await share(api)
        # Not there yet for her, though it was made for him.
        watched.note(await ana.ask("GET", f"{path}/thumbnail"))
        watched.note(await ana.ask("DELETE", path))
        watched.note(await ana.ask("GET", path))
        outcomes.append(watched.seen)
    assert "put" in outcomes[0]
    assert outcomes[0] == outcomes[1]


async def test_equal_files_take_the_room_of_one(
    api: Api, bruno: Tus, ana: Tus, tmp_path: Path
) -> None:
    first = await bruno.upload(CONTENT)
    one = stored(tmp_path / "data")
    second = await ana.upload(CONTENT)
    await share(api)
    await collecting(api).collect()
    assert stored(tmp_path / "data") == 2 * one  # somebody may be reading it
    age(tmp_path, REPLACED_SECONDS)
    assert await collecting(api).collect() == 1
    assert stored(tmp_path / "data") == one
    assert (await bruno.ask("DELETE", first)).status_code == 204
    assert await collecting(api).collect() == 1
    assert (await ana.ask("GET", second)).content == CONTENT
    assert (await ana.ask("DELETE", second)).status_code == 204
    assert await collecting(api).collect() == 1
    assert stored(tmp_path / "data") == 0


async def test_all_that_wait_are_compared_in_one_run(api: Api, bruno: Tus) -> None:
    paths = [await bruno.upload(b"x") for _ in range(AT_ONCE + 1)]
    await share(api)
    assert len({(await file_of(api, path, "bruno")).key for path in paths}) == 1


async def lose(api: Api, key: str, tmp_path: Path, how: str) -> None:
    """Lose an object of two parts, or the end of it, with what is known of its files kept."""
    if how == "missing":
        await api.parts.blobs.delete([key])
        return
    extents = extents_of(place_of(tmp_path / "data" / "files", key))
    os.truncate(extents[-1].path, 5)


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["missing", "cut off"])
@pytest.mark.parametrize("content", [CONTENT, bytes(PART_BYTES + 10)], ids=["one", "parts"])
async def test_nobody_joins_an_object_that_the_store_has_lost(
    api: Api, bruno: Tus, ana: Tus, tmp_path: Path, how: str, content: bytes
) -> None:
    """Fails where what is known of a file is taken for its bytes."""
    lost = await ana.upload(content)
    await share(api)
    await lose(api, (await file_of(api, lost, "ana")).key, tmp_path, how)
    whole = await bruno.upload(content)
    await share(api)
    for seconds in (0, REPLACED_SECONDS):
        age(tmp_path, seconds)
        await collecting(api).collect()
        assert (await bruno.ask("GET", whole)).content == content
    later = await ana.upload(content)
    await share(api)
    assert (await file_of(api, later, "ana")).key == (await file_of(api, whole, "bruno")).key
    assert (await ana.ask("GET", later)).content == content


async def test_files_wait_while_the_store_does_not_answer(
    api: Api, bruno: Tus, ana: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await bruno.upload(CONTENT)
    await share(api)
    second = await ana.upload(CONTENT)

    async def silent(*given: object) -> AsyncGenerator[bytes, None]:
        if given:
            raise Unavailable("no answer")
        yield b""

    async def no_answer() -> None:
        raise Unavailable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(api.parts.blobs, "read", silent)
        patched.setattr(api.parts.blobs, "ping", no_answer)
        with pytest.raises(Unavailable):
            await share(api)
    await share(api)
    assert (await file_of(api, second, "ana")).key == (await file_of(api, first, "bruno")).key


async def test_a_gateway_compares_files_by_itself(tmp_path: Path) -> None:
    names = ("bruno", "ana")
    async with running(tmp_path / "data") as api:
        uploaders = [Tus(api, await api.sign_in(name)) for name in names]
        paths = [await one.upload(CONTENT) for one in uploaders]
    async with running(tmp_path / "data") as api, asyncio.timeout(30):
        keys = set(paths)
        while len(keys) > 1:
            await asyncio.sleep(0.01)
            files = zip(paths, names, strict=True)
            keys = {(await file_of(api, path, name)).key for path, name in files}


async def test_a_download_goes_on_when_its_object_is_deleted(
    api: Api, bruno: Tus, ana: Tus, tmp_path: Path
) -> None:
    """Fails with a download that asks once where a file is."""
    await bruno.upload(CONTENT)
    path = await ana.upload(CONTENT)
    file = await file_of(api, path, "ana")
    blobs = api.parts.blobs
    downloading = Downloading(api.parts.people.files, blobs, cast("Any", None))
    reading = downloading.read(file, Username("ana"), 5, len(CONTENT) - 10)
    read = await anext(reading)
    assert len(read) < len(CONTENT) - 10
    await share(api)
    age(tmp_path, REPLACED_SECONDS)
    assert await collecting(api).collect() == 1
    with pytest.raises(NotFound):
        await anext(blobs.read(file.key))
    read += b"".join([piece async for piece in reading])
    assert read == CONTENT[5:-5]


@pytest.mark.parametrize("who", ["owner is disabled", "reader was removed"])
async def test_a_download_goes_on_for_who_may_still_have_the_file(
    api: Api, bruno: Tus, ana: Tus, tmp_path: Path, who: str
) -> None:
    """Fails where the owner is asked about, and not the reader."""
    await bruno.upload(CONTENT)
    file = await file_of(api, await ana.upload(CONTENT), "ana")
    directory, files = api.parts.people.directory, api.parts.people.files
    owner, reader = Username("ana"), Username("bruno")
    chat = (await directory.add_conversation(group(owner, reader))).conversation_id
    await files.attach(use_of(file.file_id, chat, owner))
    reading = Downloading(files, api.parts.blobs, cast("Any", None)).read(
        file, reader, 0, len(CONTENT)
    )
    read = await anext(reading)
    await share(api)
    age(tmp_path, REPLACED_SECONDS)
    assert await collecting(api).collect() == 1
    if who == "reader was removed":
        await directory.remove_member(chat, reader)
        with pytest.raises(NotFound):
            await anext(reading)
        return
    with sqlite3.connect(tmp_path / "data" / "metadata.db", timeout=30) as db:
        db.execute("UPDATE users SET disabled_at = 1 WHERE username = 'ana'")
    db.close()
    read += b"".join([piece async for piece in reading])
    assert read == CONTENT


async def test_a_download_of_a_deleted_file_ends(api: Api, bruno: Tus) -> None:
    path = await bruno.upload(CONTENT)
    file = await file_of(api, path, "bruno")
    reading = Downloading(api.parts.people.files, api.parts.blobs, cast("Any", None)).read(
        file, Username("bruno"), 0, len(CONTENT)
    )
    await anext(reading)
    await api.parts.blobs.delete([file.key])
    with pytest.raises(Unavailable):  # damage, and not a file that names another object
        await anext(reading)
    await reading.aclose()


async def test_who_uploads_while_the_object_is_being_deleted_keeps_their_own(
    api: Api, bruno: Tus, ana: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector stops between being told what to delete and deleting it."""
    first = await bruno.upload(CONTENT)
    key = (await file_of(api, first, "bruno")).key
    await share(api)
    assert (await bruno.ask("DELETE", first)).status_code == 204
    is_told, goes_on = asyncio.Event(), asyncio.Event()
    delete = api.parts.blobs.delete

    async def stopped(keys: Sequence[str]) -> None:
        if key in keys:
            is_told.set()
            await goes_on.wait()
        await delete(keys)

    monkeypatch.setattr(api.parts.blobs, "delete", stopped)
    collector = asyncio.create_task(collecting(api).collect())
    async with asyncio.timeout(30):
        await is_told.wait()
        second = await ana.upload(CONTENT)
        await share(api)
        goes_on.set()
        assert await collector == 1
    assert (await ana.ask("GET", second)).content == CONTENT


async def test_a_collector_that_is_killed_before_it_forgets(
    api: Api, bruno: Tus, ana: Tus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await bruno.upload(CONTENT)
    await share(api)
    assert (await bruno.ask("DELETE", first)).status_code == 204

    async def killed(_: Sequence[FileId]) -> None:
        raise Unavailable("killed")

    with monkeypatch.context() as patched:
        patched.setattr(api.parts.people.files, "forget", killed)
        with suppress(Unavailable):
            await collecting(api).collect()
    second, third = await ana.upload(CONTENT), await bruno.upload(CONTENT)
    replaced = await file_of(api, third, "bruno")
    await share(api)
    for seconds in (GARBAGE_SECONDS, REPLACED_SECONDS):
        age(tmp_path, seconds)
        assert await collecting(api).collect() > 0
    with pytest.raises(NotFound):
        await anext(api.parts.blobs.read(replaced.key))
    assert (await ana.ask("GET", second)).content == CONTENT
    assert (await bruno.ask("GET", third)).content == CONTENT


async def test_a_file_is_finished_once_more_after_it_came_to_share_an_object(
    api: Api, bruno: Tus, ana: Tus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even by a gateway that stood still for a day: nothing is made anew, or given up."""
    monkeypatch.setattr(module, "JOINING", Backoff(0.0, 0.0, tries=2))
    theirs, path = await bruno.upload(CONTENT), await ana.upload(CONTENT)
    parts, name = api.parts, FileId(path.rpartition("/")[2])
    taken = await parts.people.uploads.find(name, Username("ana"))  # by its own key
    await share(api)
    finishing = Finishing(parts.people.uploads, parts.blobs, cast("Any", _NoPictures()))
    assert await finishing.finish(taken) == await file_of(api, path, "ana")
    age(tmp_path, REPLACED_SECONDS)
    assert await collecting(api).collect() == 1
    with pytest.raises(Conflict):
        await finishing.finish(taken)
    assert await ana.offset(path) == len(CONTENT)
    assert (await ana.patch(path, len(CONTENT), b"")).status_code == 204
    assert (await ana.ask("GET", path)).content == CONTENT
    assert (await bruno.ask("GET", theirs)).content == CONTENT
    with pytest.raises(NotFound):
        await anext(parts.blobs.read(taken.key))


class _NoPictures:
    async def facts(self, *_: str) -> None:
        return None


@pytest.mark.thorough
async def test_both_are_in_a_backup_that_began_before_they_shared_an_object(
    api: Api, bruno: Tus, ana: Tus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [await bruno.upload(CONTENT), await ana.upload(CONTENT)]
    loop = asyncio.get_running_loop()

    async def meanwhile() -> None:
        await share(api)
        await collecting(api).collect()

    def copy_files(folder: Path, staging: Path) -> dict[str, File]:
        asyncio.run_coroutine_threadsafe(meanwhile(), loop).result(30)
        return backup_files.copy_files(folder, staging)

    monkeypatch.setattr(backups, "copy_files", copy_files)
    for name in ("backup", "later"):
        (tmp_path / name).mkdir(mode=0o700)
    await asyncio.to_thread(backups.copy_all, tmp_path / "data", tmp_path / "backup")
    assert (await file_of(api, paths[0], "bruno")).key == (await file_of(api, paths[1], "ana")).key
    await asyncio.to_thread(backups.copy_all, tmp_path / "data", tmp_path / "later")
    for name in ("backup", "later"):
        await asyncio.to_thread(put_back, tmp_path / name, tmp_path / f"from {name}")
        async with running(tmp_path / f"from {name}") as restored:
            people = [Tus(restored, await restored.sign_in(name)) for name in ("bruno", "ana")]
            for who, path in zip(people, paths, strict=True):
                assert (await who.ask("GET", path)).content == CONTENT
            await share(restored)
            for who, path in zip(people, paths, strict=True):
                assert (await who.ask("GET", path)).content == CONTENT
