"""`/metrics` about files: each number moves by what it counts, and by nothing else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chat4all.domain.errors import Unavailable
from chat4all.domain.files import PART_BYTES
from chat4all.gateway.files import filing
from chat4all.processes.apps import make_gateway
from chat4all.processes.parts import GatewayPorts
from chat4all.usecases import scanning
from tests.api.conftest import Api, running
from tests.api.test_metrics import values
from tests.api.tus import PNG, Tus, named
from tests.attached import FakePictures
from tests.clamd import EICAR, FakeClamd, fake_clamd
from tests.uploads import SignedParts

pytestmark = pytest.mark.anyio

STORE = "chat4all_files_store"


@pytest.fixture
async def bruno(api: Api) -> Tus:
    return Tus(api, await api.sign_in("bruno"))


async def counted(api: Api, name: str, **labels: str) -> float:
    """Return a number of the gateway's."""
    written = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    name = f"chat4all_files_{name}"
    return (await values(api.gateway))[f"{name}{{{written}}}" if written else name]


@pytest.mark.thorough
async def test_bytes_are_counted_as_they_arrive_and_as_they_are_sent(api: Api, bruno: Tus) -> None:
    assert await counted(api, "received_bytes_total") == 0
    path = await bruno.upload(bytes(1000))
    again = await bruno.patch(path, 0, bytes(10))  # it is refused before its body is read
    assert again.status_code == 409
    assert await counted(api, "received_bytes_total") == 1000
    assert await counted(api, "sent_bytes_total") == 0
    await bruno.ask("GET", path)
    await bruno.ask("GET", path, Range="bytes=0-99")
    await bruno.ask("GET", path + "x")
    assert await counted(api, "sent_bytes_total") == 1100
    for direction in ("upload", "download"):
        assert await counted(api, "transfers", direction=direction) == 0
        assert await counted(api, "stalls_total", direction=direction) == 0


@pytest.mark.thorough
async def test_operations_of_the_store_are_timed_and_their_failures_counted(
    api: Api, bruno: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await bruno.upload(bytes(PART_BYTES + 1))
    await bruno.ask("GET", path)
    for operation, times in {"begin": 1, "write": 2, "finish": 1, "read": 2, "abort": 0}.items():
        assert await counted(api, "store_seconds_count", operation=operation) == times, operation

    async def fails(*_: object) -> None:
        raise Unavailable("away")

    async def breaks(*given: object) -> AsyncIterator[bytes]:
        if given:
            raise Unavailable("away")
        yield b""

    monkeypatch.setattr(api.parts.blobs, "begin", fails)
    monkeypatch.setattr(api.parts.blobs, "read", breaks)
    answer = await bruno.ask("POST", "/v1/files", Upload_Length="5")
    assert answer.status_code == 503
    assert (await bruno.ask("GET", path)).status_code == 503
    for operation in ("begin", "read"):
        assert await counted(api, "store_failures_total", operation=operation) == 1
    assert await counted(api, "store_seconds_count", operation="begin") == 1


@pytest.mark.thorough
async def test_uploads_straight_to_the_store_are_counted_as_other_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = list[SignedParts]()

    def with_a_store_in_reach(ports: GatewayPorts) -> object:
        assert ports.blobs is not None
        stores.append(SignedParts(ports.blobs))
        return make_gateway(replace(ports, presigning=stores[0]))

    monkeypatch.setattr("chat4all.processes.one_machine.make_gateway", with_a_store_in_reach)

    async def is_done(**times: int) -> None:
        for operation, number in times.items():
            seen = await counted(api, "store_seconds_count", operation=operation)
            assert seen == number, operation

    async def fails(*_: object) -> None:
        raise Unavailable("away")

    async with running(tmp_path / "data") as api:
        who, (store,) = await api.sign_in("bruno"), stores
        posted = await api.gateway.post("/v1/files/initiate", json={"size": 4}, headers=who)
        await is_done(begin=1, part_urls=1, parts=0, finish=0)
        begun = posted.json()
        named = [{"number": 1, "etag": (await store.put(begun["parts"][0]["url"], b"data")).etag}]
        path = f"/v1/files/{begun['file_id']}"
        assert (await api.gateway.get(f"{path}/parts", headers=who)).status_code == 200
        await is_done(begin=1, part_urls=2, parts=1, finish=0)
        monkeypatch.setattr(store, "parts", fails)
        assert (await api.gateway.get(f"{path}/parts", headers=who)).status_code == 503
        assert await counted(api, "store_failures_total", operation="parts") == 1
        assert await counted(api, "store_failures_total", operation="part_urls") == 0
        monkeypatch.undo()
        done = await api.gateway.post(f"{path}/complete", json={"parts": named}, headers=who)
        assert done.status_code == 200
        # Joined once for the ETags, and again like every upload whose parts are all there.
        await is_done(begin=1, part_urls=2, parts=2, finish=2)


@pytest.mark.thorough
async def test_pictures_are_counted_by_what_came_of_them(
    api: Api, bruno: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await bruno.upload(PNG, **named("praia.png"))
    await bruno.upload(PNG + FakePictures.BROKEN, **named("broken.png"))
    await bruno.upload(b"no picture")
    for _ in range(2):  # it is made for the first one, and read for the other
        assert (await bruno.ask("GET", f"{path}/thumbnail")).status_code == 200

    async def fails(*_: object) -> None:
        raise Unavailable("too many")

    monkeypatch.setattr(FakePictures, "thumbnail", fails)
    assert (await bruno.ask("GET", f"{path}/thumbnail?size=128")).status_code == 503
    for operation, outcome in (
        ("look", "done"),
        ("look", "refused"),
        ("thumbnail", "done"),
        ("thumbnail", "failed"),
    ):
        assert await counted(api, "pictures_total", operation=operation, outcome=outcome) == 1
    assert await counted(api, "pictures_total", operation="look", outcome="failed") == 0


@pytest.mark.thorough
async def test_what_is_deleted_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "EVERY_SECONDS", 0.02)
    async with running(tmp_path / "data") as api:
        bruno = Tus(api, await api.sign_in("bruno"))
        paths = [await bruno.upload(bytes([number] * 10)) for number in range(3)]
        assert await counted(api, "deleted_total") == 0
        for path in paths[1:]:
            assert (await bruno.ask("DELETE", path)).status_code == 204
        async with asyncio.timeout(30):
            while await counted(api, "deleted_total") != 2:
                await asyncio.sleep(0.01)
        assert [file.stat().st_size for file in stored(tmp_path / "data")] == [10]


@pytest.fixture
async def clamd(tmp_path: Path) -> AsyncIterator[FakeClamd]:
    async with fake_clamd(tmp_path) as found:
        yield found


async def outcomes(api: Api) -> dict[str, float]:
    """Return how many scans came to each outcome that any came to."""
    found = {
        outcome: await counted(api, "scans_total", outcome=outcome)
        for outcome in ("clean", "found", "too_large", "failed")
    }
    return {outcome: times for outcome, times in found.items() if times}


@pytest.mark.thorough
async def test_scans_are_timed_and_counted_by_what_came_of_them(
    tmp_path: Path, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "SOON_SECONDS", 30.0)
    async with running(tmp_path / "data", clamd_address=clamd.address) as api:
        bruno = Tus(api, await api.sign_in("bruno"))
        assert await outcomes(api) == {}
        await bruno.upload(b"well")
        await bruno.upload(EICAR)
        clamd.most = 100
        await bruno.upload(bytes(101))
        assert await outcomes(api) == {"clean": 1, "found": 1, "too_large": 1}
        assert await counted(api, "scan_seconds_count") == 2  # with a verdict
        clamd.reply = b"what? ERROR\0"
        await bruno.upload(b"odd")
        assert await outcomes(api) == {"clean": 1, "found": 1, "too_large": 1, "failed": 1}
        assert await counted(api, "scanner_failures_total", operation="scan") == 1

        read, reads = api.parts.blobs.read, list[str]()

        async def breaks(key: str, *given: int) -> AsyncIterator[bytes]:
            reads.append(key)
            if len(reads) > 1:  # the first one is for the checksum
                raise Unavailable("away")
            async for piece in read(key, *given):
                yield piece

        # A store that cannot be read is no fault of the scanner's.
        monkeypatch.setattr(api.parts.blobs, "read", breaks)
        await bruno.upload(b"not to be had")
        assert (await outcomes(api))["failed"] == 2
        assert await counted(api, "scanner_failures_total", operation="scan") == 1
        assert await counted(api, "scanner_failures_total", operation="ping") == 0
        assert await counted(api, "scan_seconds_count") == 2


@pytest.mark.thorough
async def test_files_that_wait_are_counted_while_the_scanner_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds in ("SCAN_EVERY_SECONDS", "COUNT_EVERY_SECONDS"):
        monkeypatch.setattr(filing, seconds, 0.02)
    monkeypatch.setattr("chat4all.adapters.sql.uploads.SCAN_LEASE_MS", 0)

    async def until_unscanned(api: Api, number: int) -> None:
        async with asyncio.timeout(30):
            while await counted(api, "unscanned") != number:
                await asyncio.sleep(0.01)

    address = str(tmp_path / "clamd.ctl")
    async with running(tmp_path / "data", clamd_address=address) as api:
        bruno = Tus(api, await api.sign_in("bruno"))
        paths = [await bruno.upload(bytes([number] * 9)) for number in range(3)]
        await until_unscanned(api, 3)
        assert (await bruno.ask("DELETE", paths[0])).status_code == 204
        await until_unscanned(api, 2)
        async with asyncio.timeout(30):
            while not await counted(api, "scanner_failures_total", operation="ping"):
                await asyncio.sleep(0.01)
        async with fake_clamd(tmp_path):
            await until_unscanned(api, 0)
        assert (await outcomes(api))["clean"] == 2


def stored(folder: Path) -> list[Path]:
    return [file for file in (folder / "files").glob("??/**/*") if file.is_file()]
