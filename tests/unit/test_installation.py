"""One id in every part of a data folder: what is missing, mixed or cut off."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from sqlalchemy import text

from chat4all.adapters import installation as module
from chat4all.adapters.embedded import DataFolder
from chat4all.adapters.embedded.folder import DATABASES
from chat4all.adapters.installation import MARKER, private_files_of
from chat4all.adapters.present_files import PresentFiles
from chat4all.adapters.private_files import is_open_to_others
from chat4all.adapters.sql import Database, upgrade
from chat4all.adapters.sql.same_database import SameDatabase
from chat4all.adapters.sql.schema import give_id, read_id
from chat4all.adapters.sqlite_files import beside
from chat4all.doctor.cluster.database import database as doctor_database
from chat4all.doctor.findings import Status
from chat4all.domain.errors import StartRefused, Unavailable
from chat4all.processes import directories, one_machine
from chat4all.processes.directories import open_database
from chat4all.settings import load_settings
from tests.api.conftest import running
from tests.folders import change, make_folder
from tests.records import record

pytestmark = pytest.mark.anyio

PARTS = (*DATABASES, MARKER)
BESIDE = ("log.db-wal", "metadata.db-wal", "store.db-shm")


def ids(folder: Path) -> set[str]:
    """Return every id in a folder."""
    found = {(folder / MARKER).read_text().split()[0]}
    for name in DATABASES:
        with closing(sqlite3.connect(folder / name)) as db:
            found |= {row[0] for row in db.execute("SELECT installation_id FROM installation")}
    return found


def without_ids(folder: Path) -> Path:
    """Make a folder what it was before there were ids."""
    (folder / MARKER).unlink()
    for name in DATABASES:
        change(folder / name, "DELETE FROM installation")
    return folder


def refusal(folder: Path) -> str:
    with DataFolder(folder, patience=0) as held, pytest.raises(StartRefused) as refused:
        held.begin()
    return str(refused.value)


async def test_a_new_folder_has_one_id_everywhere_and_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder, new=True):
        pass
    (first,) = ids(folder)
    shutil.move(folder, tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "copied")
    for again in ("moved", "copied"):
        async with running(tmp_path / again):
            pass
        assert ids(tmp_path / again) == {first}
    async with running(tmp_path / "another", new=True):
        pass
    assert ids(tmp_path / "another") != {first}


@pytest.mark.parametrize("name", PARTS)
def test_a_folder_that_lacks_a_part_does_not_start(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path / "data", [record()])
    before = {path.name for path in folder.iterdir()} | {"lock"}
    (folder / name).unlink()
    message = refusal(folder)
    assert message.startswith(f"{name} is missing in {folder}: restore the whole folder")
    assert before - {path.name for path in folder.iterdir()} == {name}  # nothing came instead


@pytest.mark.parametrize("left", PARTS)
def test_a_folder_of_which_one_part_is_left_does_not_start(tmp_path: Path, left: str) -> None:
    folder = make_folder(tmp_path / "data", [record()])
    for name in {*PARTS} - {left}:
        (folder / name).unlink()
    assert "missing" in refusal(folder)


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_two_installations_do_not_start(tmp_path: Path, name: str) -> None:
    folder, other = make_folder(tmp_path / "data"), make_folder(tmp_path / "other")
    shutil.copyfile(other / name, folder / name)
    assert "is of another installation" in refusal(folder)


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("content", [b"", None])
def test_an_empty_database_is_not_ours(tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = make_folder(tmp_path / "data")
    (folder / name).unlink()
    if content is None:
        change(folder / name, "CREATE TABLE something (x)")
    else:
        (folder / name).write_bytes(content)
    assert "is of another installation" in refusal(folder)


def test_a_marker_without_an_id(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    (folder / MARKER).write_text("\n")
    assert "cannot be read, or is empty" in refusal(folder)


@pytest.mark.parametrize("name", DATABASES)
def test_a_folder_of_before_ids_that_lacks_a_part_does_not_start(tmp_path: Path, name: str) -> None:
    folder = without_ids(make_folder(tmp_path / "data"))
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kind", ["new", "upgraded"])
@pytest.mark.parametrize("steps", range(5))
async def test_where_it_is_cut_off_the_next_start_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, kind: str
) -> None:
    """Killed before or after each step: the first marker, each database, the final marker."""
    folder = tmp_path / "data"
    if kind == "upgraded":
        without_ids(await asyncio.to_thread(make_folder, folder, [record()]))
    done = 0

    def counted(name: str) -> None:
        real = getattr(module, name)

        def step(*arguments: object) -> object:
            nonlocal done
            if done == steps:
                raise Killed
            done += 1
            return real(*arguments)

        monkeypatch.setattr(module, name, step)

    for name in ("write_private", "read_write", "rename_durably"):
        counted(name)
    with pytest.raises(Killed):
        async with running(folder, new=True):
            pass
    assert not (folder / MARKER).exists()
    monkeypatch.undo()
    async with running(folder, new=True) as api:
        if kind == "new":
            assert await api.sign_in("ana")  # it is still the first start
    assert len(ids(folder)) == 1
    assert not list(folder.glob(f"{MARKER}.*"))


def test_an_upgrade_that_was_cut_off_and_then_lost_a_part_does_not_start(tmp_path: Path) -> None:
    folder = without_ids(make_folder(tmp_path / "data", [record()]))
    with DataFolder(folder) as held:
        held.begin()
    (folder / "metadata.db").unlink()
    assert "metadata.db is missing" in refusal(folder)


@pytest.mark.parametrize("how", ["removed", "replaced", "moved"])
@pytest.mark.parametrize("name", PARTS)
def test_what_is_gone_is_noticed_and_what_is_back_too(tmp_path: Path, name: str, how: str) -> None:
    folder = make_folder(tmp_path / "data")
    present = PresentFiles(seconds=0)
    present.watch([folder / part for part in PARTS])
    present.check()
    aside = tmp_path / "aside"
    if how == "moved":
        folder.rename(aside)
    else:
        (folder / name).rename(aside)
    if how == "replaced":
        shutil.copyfile(aside, folder / name)
    with pytest.raises(Unavailable, match="while Chat4All was running"):
        present.check()
    aside.rename(folder if how == "moved" else folder / name)
    present.check()


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*PARTS, *BESIDE])
async def test_nothing_is_accepted_into_a_folder_that_lost_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(one_machine, "PresentFiles", lambda: PresentFiles(seconds=0))
    folder = tmp_path / "data"
    async with running(folder) as api:
        who = await api.sign_in("ana")
        await api.send(who)
        await api.routed()
        (folder / name).rename(tmp_path / "aside")
        body = {"chat_id": "550e8400-e29b-41d4-a716-446655440000", "content": "x"}
        answer = await api.gateway.post("/v1/messages", json=body, headers=who)
        assert answer.status_code == 503
        form = {"username": "ana", "password": "test"}
        assert (await api.gateway.post("/token", data=form)).status_code == 503
        stranger = {"username": "ana", "email": "x@example.com", "password": "long enough"}
        assert (await api.metadata.post("/v1/users", json=stranger)).status_code == 503
        for service in (api.gateway, api.metadata):
            ready = await service.get("/health/ready")
            assert ready.status_code == 503
            assert f"{name} was removed while Chat4All was running" in ready.text
        assert not (folder / name).exists()  # nothing opened it anew
        (tmp_path / "aside").rename(folder / name)
        await api.send(who)
    assert not {path.name for path in folder.iterdir()} & {*BESIDE}


async def test_an_error_that_closes_every_connection_is_no_loss_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite removes what it has beside a database together with the last connection."""
    monkeypatch.setattr(directories, "PresentFiles", lambda: PresentFiles(seconds=0))
    file = tmp_path / "people.db"
    async with open_database(f"sqlite:///{file}") as database:
        for call in (database.write, database.read):
            with pytest.raises(Unavailable, match="no such table"):
                await call(lambda connection: connection.execute(text("DELETE FROM nowhere")))
        await SameDatabase(database).ping()
        beside(file)[0].unlink()
        with pytest.raises(Unavailable, match=r"people.db-wal was removed"):
            await SameDatabase(database).ping()


async def test_a_file_of_a_metadata_service_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "people.db"
    url = f"sqlite:///{file}"
    for _ in range(2):
        async with open_database(url) as database:
            await SameDatabase(database).ping()
    for made in (file, file.with_name(f"people.db.{MARKER}")):
        assert made.stat().st_mode & 0o777 == 0o600
    file.unlink()
    with pytest.raises(StartRefused, match=r"people.db is missing"):
        async with open_database(url):
            pass
    assert not file.exists()


async def test_a_file_of_a_metadata_service_is_closed_to_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "people.db"
    url = f"sqlite:///{file}"
    async with open_database(url):
        pass
    parts = (file, file.with_name(f"people.db.{MARKER}"))
    cluster = Mock(settings=load_settings(database_url=url))

    async def problems() -> list[str]:
        found = [finding async for finding in doctor_database(cluster)]
        return [finding.says for finding in found if finding.status is Status.PROBLEM]

    for part in parts:
        part.chmod(0o644)
    assert await problems() == [f"{part} can be read by other users" for part in parts]
    async with open_database(url):
        assert not any(is_open_to_others(part) for part in private_files_of(file))
    assert await problems() == []
    assert not caplog.records
    file.chmod(0o644)
    monkeypatch.setattr(directories, "tighten", lambda path: path != file)  # of another owner
    async with open_database(url):
        pass
    assert "others may read a file of the database" in caplog.text


async def test_another_database_at_the_same_address_is_not_used(tmp_path: Path) -> None:
    """As on a server, whose database was dropped and made anew."""
    one, two, bare = (Database(tmp_path / f"{name}.db") for name in ("one", "two", "bare"))
    for database in (one, two, bare):
        await upgrade(database)
    for database in (one, two):
        await database.write(give_id)
    same = SameDatabase(one)
    await same.ping()
    # One without an id is another one too: it was made anew and not migrated yet.
    for other in (two, bare):
        same._database = other
        assert await same.read(read_id) == await other.read(read_id)  # until it is looked at
        await same.look()
        for call in (same.read, same.write):
            with pytest.raises(Unavailable, match="leads to another database"):
                await call(read_id)
        with pytest.raises(Unavailable, match="leads to another database"):
            await same.ping()
        same._database = one
        await same.look()
        assert await same.write(read_id) == await one.read(read_id)
        await same.ping()
    for database in (one, two, bare):
        await database.close()


async def test_a_look_gives_a_database_no_id(tmp_path: Path) -> None:
    database = Database(tmp_path / "people.db")
    await upgrade(database)
    same = SameDatabase(database)
    await same.look()
    with pytest.raises(Unavailable, match="chat4all migrate"):
        await same.ping()
    assert await database.read(read_id) is None
    await database.write(give_id)
    await same.ping()
    await database.close()


def test_the_id_needs_no_inode(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    for name in PARTS:
        shutil.copy2(folder / name, tmp_path / "copy")
        (tmp_path / "copy").replace(folder / name)
    with DataFolder(folder, patience=0) as held:
        assert held.begin().is_complete
