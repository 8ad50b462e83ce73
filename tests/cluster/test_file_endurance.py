"""A large upload through two gateways: killed again and again, and as fast as it can be."""

import asyncio
import http.client
import itertools
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import AioSession

from bench.machine import memory_of
from engines import S3Server
from tests.cluster.files import FilesSite, files_site
from tests.cluster.services import Service
from tests.faults.running import until
from tests.faults.tus import (
    FLAT,
    LOST_MAX,
    MIB,
    SECONDS,
    Memory,
    NotNow,
    TusUpload,
    random_file,
    sha256,
)

__all__ = ["files_site"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.alone,
    pytest.mark.endurance,
    pytest.mark.timeout(3_000, func_only=True),
]

SIZE = int(os.environ.get("UPLOAD_MIB", "1717")) * MIB + 12_345
"""1.8 GB, unless it is set."""

KILLS = 20
SEED = 20_261_129
PART = 8 * MIB

BUFFERS = 80 * MIB
"""Memory of a gateway above that without requests. When the client comes again there are two for a
moment, each with three parts of 8 MiB, and a copy of the two that are being sent."""

SHARE_MIN = 0.7
"""How fast an upload is, by the rate at which the store's own client sends the same bytes."""

_spawning = multiprocessing.get_context("spawn")


@dataclass
class Shared:
    """What outlives the client, in memory that it shares with the test."""

    sent: Any
    acknowledged: Any
    offset: Any
    """Up to which bytes were sent."""
    allowed: Any
    """How far the client may send until the next kill."""


def upload_until_whole(
    file: Path, token: str, path: str, gateways: Sequence[str], shared: Shared
) -> None:
    """Upload as a client does: resume at another gateway after each break."""
    upload = TusUpload(file, token)
    upload.path, upload.acknowledged = path, shared.acknowledged.value

    def note(offset: int) -> None:
        shared.sent.value += offset - shared.offset.value
        shared.offset.value = offset
        until(lambda: shared.allowed.value >= offset, SECONDS)

    for gateway in itertools.cycle(gateways):
        try:
            offset = upload.head(gateway)
        except (OSError, http.client.HTTPException, NotNow):
            time.sleep(0.1)  # it is being restarted
            continue
        shared.acknowledged.value = upload.acknowledged
        if offset == upload.size:
            return
        shared.offset.value = offset
        upload.patch(gateway, offset, 32 * PART + 1, note)
        shared.acknowledged.value = upload.acknowledged


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    found = random_file(tmp_path, SIZE)
    yield found
    found.unlink()


class Peaks:
    """The most memory that services have had, above that of the largest one without requests."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._idle = max(self._now())
        self.most = 0.0

    def sample(self) -> None:
        self.most = max(self.most, *(now - self._idle for now in self._now()))

    def _now(self) -> list[float]:
        running = (service.process for service in self._services)
        return [memory_of(one.pid)["pss_mib"] * MIB for one in running if one is not None]


def test_twenty_kills(site: FilesSite, file: Path) -> None:
    print("seed", SEED)
    chance = random.Random(SEED)
    upload = TusUpload(file, site.token).begin(site.gateways[0].url)
    shared = Shared(*(_spawning.RawValue("q", 0) for _ in range(4)))
    gateways, metadata = Peaks(site.gateways), Peaks([site.metadata])
    counted = {"gateway": 0, "client": 0, "s3": 0}

    def a_client() -> SpawnProcess:
        urls = [gateway.url for gateway in site.gateways]
        chance.shuffle(urls)
        arguments = (file, site.token, upload.path, urls, shared)
        started = _spawning.Process(target=upload_until_whole, args=arguments)
        started.start()
        return started

    client = a_client()
    points = sorted(chance.randrange(SIZE * 9 // 10) for _ in range(KILLS))

    def is_at(point: int) -> bool:
        gateways.sample()
        metadata.sample()
        return bool(shared.offset.value >= point)

    try:
        for point, following in itertools.pairwise([*points, SIZE]):
            shared.allowed.value = following
            until(lambda: is_at(point), 300)  # noqa: B023
            what = chance.choice([*counted])
            counted[what] += 1
            if what == "gateway":
                gateway = chance.choice(site.gateways)
                gateway.stop(signal.SIGKILL)
                site.restart(gateway)
            elif what == "client":
                client.kill()
                client.join()
                client = a_client()
            else:
                site.s3.kill()
                site.s3.restart()
        client.join(600)
        assert client.exitcode == 0
    finally:
        client.kill()
        client.join()
    again = shared.sent.value - SIZE
    print(f"kills {counted}; sent again {again / MIB:.1f} MiB")
    print(f"gateways +{gateways.most / MIB:.0f} MiB, metadata +{metadata.most / MIB:.0f} MiB")
    assert shared.acknowledged.value == SIZE
    assert again <= KILLS * LOST_MAX
    assert gateways.most <= BUFFERS + FLAT
    assert metadata.most <= FLAT
    site.is_everywhere(upload.path, sha256(file))


async def by_the_stores_client(s3: S3Server, bucket: str, file: Path) -> float:
    """Upload by S3's own protocol, two parts at a time as a gateway does; return the seconds."""
    session = AioSession().create_client(
        "s3",
        endpoint_url=s3.address,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
    )
    began, slots = time.perf_counter(), asyncio.Semaphore(2)
    async with session as client:
        of = {"Bucket": bucket, "Key": "compared"}
        of["UploadId"] = (await client.create_multipart_upload(**of))["UploadId"]

        async def part(number: int) -> dict[str, object]:
            async with slots:
                body = await asyncio.to_thread(read_part, file, (number - 1) * PART)
                answer = await client.upload_part(**of, PartNumber=number, Body=body)
            return {"PartNumber": number, "ETag": answer["ETag"]}

        count = -(-SIZE // PART)
        parts = await asyncio.gather(*(part(number) for number in range(1, count + 1)))
        await client.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
        seconds = time.perf_counter() - began
        await client.delete_object(Bucket=bucket, Key="compared")
    return seconds


def read_part(file: Path, offset: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(PART)


def test_the_rate_without_kills(site: FilesSite, file: Path) -> None:
    """The second half goes through the other gateway; the memory of every service stays as it is.

    That of the gateway that is not sent to stays too, with what it had for its own half.
    """
    theirs = asyncio.run(by_the_stores_client(site.s3, site.bucket, file))
    upload = TusUpload(file, site.token).begin(site.gateways[0].url)
    began, offset, asked = time.perf_counter(), 0, 0.0
    for gateway, size in zip(site.gateways, (SIZE // 2, None), strict=True):
        processes = [service.process for service in site.services]
        memories = [Memory(process.pid) for process in processes if process is not None]
        assert len(memories) == len(site.services)
        begins = offset

        def sample(sent: int, memories: list[Memory] = memories, begins: int = begins) -> None:
            nonlocal asked
            if sent > begins + 6 * PART and sent // MIB % (SIZE // MIB // 64) == 0:
                before = time.perf_counter()
                for memory in memories:
                    memory.sample()
                asked += time.perf_counter() - before

        assert upload.patch(gateway.url, offset, size, sample) == 204
        for memory in memories:
            memory.is_flat()
        offset = upload.acknowledged
    ours = time.perf_counter() - began - asked
    print(f"{SIZE / ours / MIB:.0f} MiB/s, {theirs / ours:.2f} of the store's own client")
    assert offset == SIZE
    assert theirs / ours >= SHARE_MIN
    site.is_everywhere(upload.path, sha256(file))
