"""`chat4all doctor` about what users have uploaded: every fault that it looks for, constructed."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.embedded import FolderBlobs
from chat4all.adapters.embedded.blobs import RESERVED_BYTES
from chat4all.adapters.installation import MARKER
from chat4all.adapters.sql.inspecting_files import FilesInspection
from chat4all.doctor import pictures
from chat4all.doctor.cluster import files as store
from chat4all.doctor.findings import Finding, Status
from chat4all.doctor.one_machine import uploaded
from chat4all.doctor.one_machine.uploaded import room_for_files, uploaded_files
from chat4all.doctor.runner import run
from chat4all.domain.errors import NotFound, Unavailable, UnreadablePicture
from chat4all.domain.files import LATE_SECONDS, PART_BYTES, REPLACED_SECONDS
from chat4all.settings import Settings
from tests.api.conftest import running
from tests.api.test_sharing import age, collecting, share
from tests.api.tus import PNG, Tus, named
from tests.folders import change, make_folder
from tests.unit.test_doctor import found, the_one, well

SMALL, LARGE = b"x" * 100, bytes(PART_BYTES + 5)


async def fill(folder: Path) -> None:
    """Make a folder with a file of one part, one of two, a picture, and an upload."""
    async with running(folder) as api:
        bruno = Tus(api, await api.sign_in("bruno"))
        await bruno.upload(SMALL)
        await bruno.upload(LARGE)
        picture = await bruno.upload(PNG, **named("praia.png"))
        assert (await bruno.ask("GET", f"{picture}/thumbnail")).status_code == 200
        await bruno.patch(await bruno.begin(1000), 0, b"begun!")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "data"
    asyncio.run(fill(folder))
    for path in (folder / "files").rglob("*"):  # nothing is young
        os.utime(path, (0, 0))
    return folder


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "data")
    return tmp_path / "data"


def file_of(data: Path, size: int) -> Path:
    """Return the file of an object, or of one of its parts, that has so many bytes."""
    (path,) = (
        path
        for path in (data / "files").rglob("*")
        if path.is_file() and path.stat().st_size == size
    )
    return path


def test_all_is_well(data: Path) -> None:
    for deep in (False, True):
        findings = found(uploaded_files, data, deep=deep)
        assert well(findings), findings
        assert "3 files" in findings[0].says
    assert well(found(room_for_files, data))
    assert "4 files and uploads of 8.0 MiB" in found(room_for_files, data)[0].says


def test_a_folder_without_files(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    assert well(found(uploaded_files, folder))
    assert well(found(room_for_files, folder))


def test_a_folder_of_an_earlier_release_is_not_looked_at(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    change(folder / "metadata.db", "DROP TABLE file_uses")
    change(folder / "metadata.db", "DROP TABLE files")
    assert found(uploaded_files, folder) == found(room_for_files, folder) == []


def harmed(data: Path, **options: Any) -> str:
    return the_one(found(uploaded_files, data, **options), Status.PROBLEM).says


def test_a_file_that_is_missing(data: Path) -> None:
    file_of(data, len(SMALL)).unlink()
    assert "1; the first is" in harmed(data)
    assert "it is missing" in harmed(data)


@pytest.mark.parametrize("size", [len(SMALL), PART_BYTES, 5])
def test_a_file_that_is_cut_off(data: Path, size: int) -> None:
    file_of(data, size).write_bytes(b"")
    assert "bytes that were uploaded" in harmed(data)


def test_a_part_that_is_missing_and_a_list_of_parts_that_is_damaged(data: Path) -> None:
    part = file_of(data, 5)
    (part.parent / "order").write_text("damaged")
    assert "the list of its parts is damaged" in harmed(data)
    shutil.rmtree(part.parent)
    assert "it is missing" in harmed(data)


def test_other_bytes_are_found_by_reading_all(data: Path) -> None:
    file_of(data, len(SMALL)).write_bytes(b"y" * len(SMALL))
    assert well(found(uploaded_files, data))
    assert "other bytes than were uploaded" in harmed(data, deep=True)


def test_the_whole_folder_is_missing(data: Path) -> None:
    shutil.rmtree(data / "files")
    assert "files is missing, with what users have uploaded" in harmed(data)


def test_the_disk_of_the_folder_is_not_mounted_or_is_another_ones(data: Path) -> None:
    (data / "files" / MARKER).write_text("another\n")
    assert "has the files of another installation" in harmed(data)
    shutil.rmtree(data / "files")
    (data / "files").mkdir()
    problem = the_one(found(uploaded_files, data), Status.PROBLEM)
    assert "files lacks what users have uploaded" in problem.says
    assert "mount its disk" in (problem.do or "")


def test_what_is_given_up_or_deleted_meanwhile_is_not_missed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_of(data, len(SMALL)).unlink()
    kept = FilesInspection.kept

    async def deleted_then(inspection: FilesInspection) -> Any:
        rows = await kept(inspection)
        change(data / "metadata.db", f"UPDATE files SET expires_at = 1 WHERE size = {len(SMALL)}")
        return rows

    monkeypatch.setattr(FilesInspection, "kept", deleted_then)
    assert well(found(uploaded_files, data))
    monkeypatch.undo()
    findings = found(uploaded_files, data)
    assert well(findings)
    assert "2 files" in findings[0].says


def test_more_files_than_there_is_time_for(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploaded, "QUICK_SECONDS", -1)
    says = the_one(found(uploaded_files, data), Status.WARNING).says
    assert says.startswith("0 of 3 files")
    assert well(found(uploaded_files, data, deep=True))


def test_what_belongs_to_nothing(data: Path) -> None:
    place = file_of(data, len(SMALL)).parent
    upload = place / f"00_lost~{'0' * 32}"
    upload.mkdir()
    (upload / "00001.x").write_bytes(bytes(2048))
    (place / "00_lost.tail.3").write_bytes(bytes(1024))
    assert well(found(uploaded_files, data))  # a process may be about to note them
    for path in (upload, place / "00_lost.tail.3"):
        os.utime(path, (0, 0))
    left = the_one(found(uploaded_files, data), Status.WARNING)
    assert "2 in the folder files, of 3.0 KiB; the first is" in left.says
    assert "00_lost" in left.says


def test_thumbnails_of_files_that_share_an_object_belong_to_them(tmp_path: Path) -> None:
    """Fails where what is there is told by the keys of objects alone."""

    async def fill() -> None:
        async with running(tmp_path / "data") as api:
            bruno = Tus(api, await api.sign_in("bruno"))
            pictures = [await bruno.upload(PNG, **named("praia.png")) for _ in range(2)]
            for path in pictures:
                assert (await bruno.ask("GET", f"{path}/thumbnail")).status_code == 200
            await share(api)
            age(tmp_path, REPLACED_SECONDS)
            for _ in range(2):
                assert await collecting(api).collect() == 1
                age(tmp_path, LATE_SECONDS)

    asyncio.run(fill())
    for path in (tmp_path / "data" / "files").rglob("*"):  # nothing is young
        os.utime(path, (0, 0))
    assert len([*(tmp_path / "data" / "files").rglob("*.thumb.*")]) == 2
    findings = found(uploaded_files, tmp_path / "data")
    assert well(findings), findings


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=size)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_room_and_quota(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def room(status: Status, total: int | None = None) -> str:
        return the_one(found(room_for_files, data, files_total=total), status).says

    free(monkeypatch, RESERVED_BYTES - 1)
    assert "answered with 507" in room(Status.PROBLEM)
    free(monkeypatch, RESERVED_BYTES + 2**30)
    assert "CHAT4ALL_FILES_TOTAL is not set: they may take 1.0 GiB more" in room(Status.OK)
    assert "CHAT4ALL_FILES_TOTAL is 100.0 MiB" in room(Status.OK, 100 * 2**20)
    assert "beyond it uploads are refused" in room(Status.WARNING, 8 * 2**20)
    assert "the disk has room for 1.0 GiB" in room(Status.WARNING, 2**40)


# Pictures.


@pytest.mark.parametrize("error", [None, Unavailable("no pyvips"), UnreadablePicture("broken")])
def test_pictures_that_cannot_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    class Looks:
        async def look(self, content: AsyncIterator[bytes]) -> None:
            assert b"".join([piece async for piece in content])[:3] == b"GIF"
            if error is not None:
                raise error

    monkeypatch.setattr(pictures, "LimitedPictures", Looks)
    findings = asyncio.run(run(pictures.pictures, None))
    if error is None:
        assert well(findings)
    else:
        assert str(error) in the_one(findings, Status.PROBLEM).says


@pytest.mark.slow
def test_the_process_for_pictures_is_really_started() -> None:
    assert well(asyncio.run(run(pictures.pictures, None)))


# A cluster's store.

S3 = {
    "s3_endpoint": "http://10.0.0.1:9000",
    "s3_bucket": "files",
    "s3_access_key": "key",
    "s3_secret_key": "secret",
}


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    """A store, and what a key of it must not do is put into its place."""
    return FolderBlobs(tmp_path / "store")


def objects(tmp_path: Path) -> Sequence[Path]:
    return [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def probe(
    monkeypatch: pytest.MonkeyPatch, blobs: FolderBlobs | None, **settings: str
) -> list[Finding]:
    @asynccontextmanager
    async def opened(_: object) -> AsyncIterator[FolderBlobs | None]:
        if blobs is not None:
            await blobs.open()
        yield blobs

    class Cluster:
        pass

    cluster: Any = Cluster()
    cluster.settings = Settings(**settings)  # type: ignore[arg-type]
    monkeypatch.setattr(store, "opened_blobs", opened)
    return asyncio.run(run(store.store_of_files, cluster))


def test_a_cluster_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = probe(monkeypatch, None)
    assert well(findings)
    assert "CHAT4ALL_S3_ENDPOINT" in findings[0].says


def test_half_of_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = probe(monkeypatch, None, s3_endpoint="http://10.0.0.1:9000")
    assert "the store of files needs" in the_one(findings, Status.PROBLEM).says


def test_a_store_that_does_all_is_left_as_it_was(
    blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert well(probe(monkeypatch, blobs, **S3))
    assert not objects(tmp_path)


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("ping", "refuses these"),
        ("begin", "an upload cannot be begun: refuses these"),
        ("abort", "an upload cannot be given up: refuses these"),
        ("write", "an object cannot be written: refuses these"),
        ("finish", "an object cannot be written: refuses these"),
        ("read", "an object cannot be read: refuses these"),
        ("delete", "an object cannot be deleted: refuses these"),
    ],
)
def test_what_a_key_must_not_do_is_said(
    blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, says: str
) -> None:

    async def refused(*_: object) -> None:
        raise Unavailable("refuses these credentials: check them")

    async def unreadable(*given: object) -> AsyncIterator[bytes]:
        if given:
            raise Unavailable("refuses these credentials: check them")
        yield b""

    monkeypatch.setattr(blobs, method, unreadable if method == "read" else refused)
    problem = the_one(probe(monkeypatch, blobs, **S3), Status.PROBLEM)
    assert problem.says == f"{says} credentials: check them"
    assert method in ("finish", "delete") or not objects(tmp_path)


def test_a_store_that_gives_back_something_else(
    blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def other(*_: object) -> AsyncIterator[bytes]:
        yield b"other"

    async def gone(*given: object) -> AsyncIterator[bytes]:
        if given:
            raise NotFound("no such object")
        yield b""

    readings: Sequence[Any] = (other, gone)
    for reading, why in zip(readings, ("other bytes", "no such object"), strict=True):
        monkeypatch.setattr(blobs, "read", reading)
        assert why in the_one(probe(monkeypatch, blobs, **S3), Status.PROBLEM).says
