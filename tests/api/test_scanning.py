"""Files are held back until they are scanned."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from chat4all.adapters.sql import SqlAudit
from chat4all.domain.files import PictureFacts
from chat4all.usecases import scanning as module
from tests.api.conftest import CHAT, Api, running
from tests.api.test_garbage import stored
from tests.api.tus import PNG, Tus
from tests.attached import FakePictures
from tests.clamd import EICAR, SIGNATURE, FakeClamd, fake_clamd

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clamd(tmp_path: Path) -> AsyncIterator[FakeClamd]:
    async with fake_clamd(tmp_path) as found:
        yield found


@pytest.fixture
async def api(tmp_path: Path, clamd: FakeClamd) -> AsyncIterator[Api]:
    async with running(tmp_path / "data", clamd_address=clamd.address) as found:
        yield found


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.01)


async def sent(api: Api, who: dict[str, str], path: str, kind: str = "file") -> Any:
    payload = {"file_id": path.rpartition("/")[2]}
    body = {"chat_id": CHAT, "kind": kind, "payload": payload}
    return await api.gateway.post("/v1/messages", json=body, headers=who)


async def test_a_clean_file_is_ready_when_its_upload_is_answered(
    api: Api, clamd: FakeClamd
) -> None:
    bruno = Tus(api, await api.sign_in("bruno"))
    path = await bruno.upload(PNG)
    assert clamd.scanned == [PNG]
    assert (await bruno.ask("GET", path)).content == PNG
    assert (await sent(api, bruno.who, path, "image")).status_code == 202
    await api.routed()
    payload = (await api.history(bruno.who))[-1]["payload"]
    assert payload["width"] == 1200  # it was looked at, after the scan


async def test_what_was_found_is_deleted_and_in_the_audit(api: Api, tmp_path: Path) -> None:
    bruno = Tus(api, await api.sign_in("bruno"))
    before = stored(tmp_path / "data")
    path = await bruno.upload(EICAR)
    refused = [
        await bruno.ask("GET", path),
        await bruno.ask("GET", path + "/thumbnail"),
        await sent(api, bruno.who, path),
    ]
    for answer in refused:
        assert answer.status_code == 409
        assert "refused" in answer.json()["detail"]
        assert "retry-after" not in answer.headers
    assert stored(tmp_path / "data") == before
    (entry,) = [e for e in await audit_of(api) if e.action == "file-refused"]
    assert (entry.actor, entry.username) == (None, "bruno")
    assert entry.details == {"file_id": path.rpartition("/")[2], "found": SIGNATURE}
    assert (await bruno.ask("DELETE", path)).status_code == 204


async def test_a_file_that_is_being_checked_is_for_nobody_and_not_looked_at(
    api: Api, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOON_SECONDS", 0.0)
    looked, look = list[bool](), FakePictures.look

    async def noted(self: FakePictures, content: AsyncIterator[bytes]) -> PictureFacts:
        looked.append(clamd.released.is_set())
        return await look(self, content)

    monkeypatch.setattr(FakePictures, "look", noted)
    clamd.released.clear()
    bruno = Tus(api, await api.sign_in("bruno"))
    path = await bruno.upload(PNG)
    for answer in (
        await bruno.ask("GET", path),
        await bruno.ask("GET", path + "/thumbnail"),
        await sent(api, bruno.who, path),
    ):
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/being-checked"
        assert int(answer.headers["retry-after"]) > 0
    clamd.released.set()

    async def is_ready() -> bool:
        return (await bruno.ask("GET", path)).status_code == 200

    await until(is_ready)
    assert looked == [True]
    assert (await sent(api, bruno.who, path, "image")).status_code == 202


async def test_more_files_than_are_scanned_at_once_wait_for_their_turn(
    api: Api, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when those beyond wait until another gateway would take them over.

    One of a person is scanned at a time.
    """
    monkeypatch.setattr(module, "SOON_SECONDS", 0.0)
    clamd.released.clear()
    bruno = Tus(api, await api.sign_in("bruno"))
    paths = [await bruno.upload(bytes([number] * 9)) for number in range(module.AT_ONCE + 2)]

    async def are_scanned() -> bool:
        return bool(clamd.scanned)

    await until(are_scanned)
    assert len(clamd.scanned) == 1
    clamd.released.set()

    async def are_ready() -> bool:
        return all([(await bruno.ask("GET", path)).status_code == 200 for path in paths])

    await until(are_ready)


async def test_uploads_outlast_a_scanner_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat4all.gateway.files.filing.SCAN_EVERY_SECONDS", 0.01)
    monkeypatch.setattr("chat4all.adapters.sql.uploads.SCAN_LEASE_MS", 0)
    address = str(tmp_path / "clamd.ctl")
    async with running(tmp_path / "data", clamd_address=address) as api:
        bruno = Tus(api, await api.sign_in("bruno"))
        path = await bruno.upload(PNG)
        assert (await bruno.ask("GET", path)).status_code == 409
        health = (await api.gateway.get("/health/ready")).json()
        assert "clamd" in str(health)
    async with running(tmp_path / "data", clamd_address=address) as api:
        bruno = Tus(api, await api.sign_in("bruno"))
        assert (await bruno.ask("GET", path)).status_code == 409

        async def is_ready() -> bool:
            return (await bruno.ask("GET", path)).status_code == 200

        async with fake_clamd(tmp_path):
            await until(is_ready)


async def test_what_clamd_does_not_take_is_refused(api: Api, clamd: FakeClamd) -> None:
    clamd.most = 100
    bruno = Tus(api, await api.sign_in("bruno"))
    path = await bruno.upload(bytes(101))
    assert "refused" in (await sent(api, bruno.who, path)).json()["detail"]
    (entry,) = [e for e in await audit_of(api) if e.action == "file-refused"]
    assert "larger" in entry.details["found"]


async def audit_of(api: Api) -> Any:
    uploads: Any = api.parts.people.scans
    return await SqlAudit(uploads._database).newest(10)
