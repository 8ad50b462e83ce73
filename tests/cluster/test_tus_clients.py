"""Clients of tus that were written elsewhere, through two gateways, one of which is killed."""

import asyncio
import io
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from tests.cluster.files import FilesSite, files_site
from tests.cluster.services import Service
from tests.faults.test_uploads import uploader
from tests.faults.tus import MIB, random_file, sha256
from tests.javascript.node import installed
from tests.javascript.test_tus import Uploader

__all__ = ["files_site"]

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]

T = TypeVar("T")

SIZE = 30 * MIB + 12_345
CHUNK = 3 * MIB + 1


class Entrance:
    """One address for all gateways: each new connection goes to the one that is chosen."""

    def __init__(self, gateway: Service) -> None:
        self.gateway = gateway
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._pass, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = urlsplit(self.gateway.url).port
        try:
            there, answers = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, answers), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(256 * 1024):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
def entrance(site: FilesSite) -> Iterator[Entrance]:
    found = Entrance(site.gateways[0])
    try:
        yield found
    finally:
        found.close()


def test_tuspy_goes_on_at_the_other_gateway(site: FilesSite, tmp_path: Path) -> None:
    here, there = site.gateways
    file = random_file(tmp_path, SIZE)
    content = io.BytesIO(file.read_bytes())
    first = uploader(here.url, site.token, content, CHUNK, sums=True)
    for _ in range(4):
        first.upload_chunk()  # type: ignore[no-untyped-call]
    here.kill()
    path = urlsplit(str(first.url)).path
    second = uploader(there.url, site.token, content, CHUNK, sums=True)
    second.set_url(there.url + path)
    second.offset = second.get_offset()
    assert second.offset == first.offset == 4 * CHUNK
    second.upload()
    site.restart(here)
    site.is_everywhere(path, sha256(file))


def test_tus_js_client_goes_on_at_the_other_gateway(
    site: FilesSite, entrance: Entrance, tmp_path: Path
) -> None:
    here, there = site.gateways
    file, kept = random_file(tmp_path, SIZE, 1), str(tmp_path / "kept.json")
    arguments = (str(installed("tus")), f"{entrance.url}/v1/files", site.token, str(file), kept)
    with Uploader(*arguments) as upload:
        upload.until_accepted(SIZE // 2)
        entrance.gateway = there
        here.kill()
        upload.until_done()
    assert upload.accepted == sorted(upload.accepted)
    site.restart(here)
    site.is_everywhere(urlsplit(upload.url).path, sha256(file))
