"""Files where their store is full, does not answer, or is none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn, cast

import httpx
import pytest

from chat4all.adapters.embedded.folder import FILES
from chat4all.domain.errors import Degraded, OutOfSpace, StartRefused, Unavailable
from chat4all.gateway.files.endpoints import no_files_routes
from chat4all.http import health
from chat4all.http.fast_routes import FastRoutes
from chat4all.ports.health import ASIDE_PING_SECONDS
from chat4all.ports.scanning import Scanner
from chat4all.processes import files as processes_files
from chat4all.processes.files import ping_of
from tests.api.conftest import CHAT, Api, running
from tests.api.test_http import check_problem
from tests.api.tus import Tus

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path / "data") as found:
        yield found


async def test_an_upload_goes_on_once_its_store_takes_bytes_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = Tus(api, await api.sign_in("bruno"))
    path = await bruno.begin(9)
    assert (await bruno.patch(path, 0, b"abc")).status_code == 204
    for error, status in [
        (OutOfSpace("the disk is full", "free some space"), 507),
        (Unavailable("10.1.2.3 does not answer", "the store of files does not answer"), 503),
    ]:

        async def broken(*_: object, error: Exception = error) -> NoReturn:
            raise error

        with monkeypatch.context() as patched:
            for name in ("write", "put", "begin"):
                patched.setattr(api.parts.blobs, name, broken)
            problem = check_problem(await bruno.patch(path, 3, b"def"), status)
            assert "10.1.2.3" not in problem["detail"]
            answer = await bruno.ask("POST", "/v1/files", Upload_Length="3")
            check_problem(answer, status)
            assert int(answer.headers["retry-after"]) >= 1
            assert await bruno.offset(path) == 3
    assert (await bruno.patch(path, 3, b"defghi")).status_code == 204
    assert (await bruno.ask("GET", path)).content == b"abcdefghi"


async def test_a_download_says_that_the_store_does_not_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = Tus(api, await api.sign_in("bruno"))
    path = await bruno.upload(b"abc")

    async def broken(key: str, *_: object) -> AsyncIterator[bytes]:
        if key:
            raise Unavailable("away", "the store of files does not answer")
        yield b""

    monkeypatch.setattr(api.parts.blobs, "read", broken)
    answer = await bruno.ask("GET", path)
    check_problem(answer, 503)
    assert answer.headers["cache-control"] == "no-store"


async def test_messages_are_taken_without_the_store_of_files(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> NoReturn:
        raise Unavailable("away")

    # What a gateway asks is bound when it is made: break what is behind it.
    monkeypatch.setattr(api.parts.blobs, "_read", lambda *_: away())
    answer: Any = None
    while answer is None or answer.json()["dependencies"]["files"]["status"] == "ok":
        answer = await api.gateway.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["dependencies"]["files"]["status"] == "degraded"
    await api.send(await api.sign_in("bruno"))


async def test_a_store_or_a_scanner_that_hangs_is_degraded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a balancer would take all gateways out, which take messages."""

    class Hanging:
        async def ping(self) -> None:
            await asyncio.Event().wait()

    assert ASIDE_PING_SECONDS < health.PING_SECONDS
    monkeypatch.setattr(processes_files, "ASIDE_PING_SECONDS", 0.01)
    with pytest.raises(Degraded, match="no answer within"):
        await ping_of(cast("Scanner", Hanging()))()


async def test_an_installation_without_a_store_says_so() -> None:
    async def nothing(*_: object) -> None:
        raise AssertionError

    transport = httpx.ASGITransport(FastRoutes(no_files_routes(), nothing))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        for method, path in [
            ("OPTIONS", "/v1/files"),
            ("GET", "/v1/files"),
            ("POST", "/v1/files"),
            ("GET", f"/v1/files/{CHAT}"),
            ("POST", f"/v1/files/{CHAT}/link"),
            ("POST", "/v1/files/initiate"),
            ("POST", f"/v1/files/{CHAT}/complete"),
            ("GET", f"/v1/files/{CHAT}/parts"),
            ("GET", f"/v1/files/{CHAT}/thumbnail"),
        ]:
            answer = await client.request(method, path)
            assert answer.status_code == 501
            assert "keeps no files" in answer.json()["detail"]


async def test_a_start_without_the_folder_of_files_is_refused(tmp_path: Path) -> None:
    """Fails when it is made anew: every file would be gone, and nobody would be told."""
    data = tmp_path / "data"
    async with running(data) as api:
        await Tus(api, await api.sign_in("bruno")).upload(b"text")
    (data / FILES).rename(tmp_path / "aside")
    with pytest.raises(StartRefused, match="is missing"):
        async with running(data):
            pass
    assert not (data / FILES).exists()
    (tmp_path / "aside").rename(data / FILES)
    async with running(data) as api:
        await api.sign_in("bruno")
