"""Uploads through two gateways that are killed and frozen, and a store that is killed."""

import http.client
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cluster.files import FilesSite, files_site, joined
from tests.cluster.services import Service
from tests.faults.running import until
from tests.faults.tus import LOST_MAX, MIB, TusUpload, random_file, sha256

__all__ = ["files_site"]

pytestmark = [pytest.mark.slow, pytest.mark.engines, pytest.mark.timeout(240, func_only=True)]

SIZE = 40 * MIB + 12_345
FIRST = 9 * MIB
"""What is acknowledged before something is done wrong: a part, and a tail."""


def begun(site: FilesSite, folder: Path) -> tuple[TusUpload, TusUpload]:
    """Begin an upload; return it as two clients have it, each with bytes of its own."""
    one = TusUpload(random_file(folder, SIZE, 1), site.token).begin(site.gateways[0].url)
    other = TusUpload(random_file(folder, SIZE, 2), site.token)
    other.path = one.path
    return one, other


def status_of(method: str, gateway: Service, path: str, site: FilesSite, **more: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=90)
    headers = {"Authorization": f"Bearer {site.token}", "Tus-Resumable": "1.0.0"} | more
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_upload_goes_on_at_the_other_gateway(site: FilesSite, tmp_path: Path) -> None:
    """Fails when anything of an upload is known to one gateway only."""
    upload = TusUpload(random_file(tmp_path, SIZE), site.token).begin(site.gateways[0].url)
    offset = 0
    for here, there, point in (
        (site.gateways[0], site.gateways[1], SIZE * 2 // 3),
        (site.gateways[1], site.gateways[0], SIZE * 5 // 6),
    ):
        killed = threading.Event()

        def kill(
            sent: int,
            here: Service = here,
            point: int = point,
            killed: threading.Event = killed,
        ) -> None:
            if sent > point and not killed.is_set():
                killed.set()
                here.kill()

        assert upload.patch(here.url, offset, on_sent=kill) == 0
        assert killed.is_set()
        offset = upload.head(there.url)
        site.restart(here)
    assert upload.patch(site.gateways[0].url, offset) == 204
    assert upload.sent <= SIZE + 2 * LOST_MAX
    site.is_everywhere(upload.path, sha256(upload.file))


def test_two_at_once_do_not_mix(site: FilesSite, tmp_path: Path) -> None:
    """Fails when a gateway writes without having taken the upload."""
    for _ in range(3):
        uploads = begun(site, tmp_path)
        together = threading.Barrier(2)

        def send(number: int, uploads: tuple[TusUpload, ...] = uploads) -> int:
            together.wait(30)  # noqa: B023
            return uploads[number].patch(site.gateways[number].url, 0)

        with ThreadPoolExecutor() as pool:
            statuses = [*pool.map(send, range(2))]
        winner = statuses.index(204)
        # 0: it was refused while it sent, and its connection was closed.
        assert statuses[1 - winner] in (409, 423, 0), statuses
        assert uploads[1 - winner].acknowledged == 0
        site.is_everywhere(uploads[0].path, sha256(uploads[winner].file))


def test_a_head_takes_an_upload_from_another_gateway(site: FilesSite, tmp_path: Path) -> None:
    """Fails when progress is kept under an old fence."""
    one, other = begun(site, tmp_path)
    here, there = site.gateways
    assert one.patch(here.url, 0, FIRST) == 204
    offsets: list[int] = []

    def take(sent: int) -> None:
        if sent > SIZE // 2 and not offsets:
            offsets.append(other.head(there.url))

    assert one.patch(here.url, FIRST, on_sent=take) in (409, 0)
    assert FIRST <= offsets[0] < SIZE
    assert other.head(there.url) == offsets[0]
    assert other.patch(there.url, offsets[0]) == 204
    site.is_everywhere(one.path, joined(one.file, other.file, offsets[0]))


def test_a_frozen_gateway_changes_nothing_when_it_wakes(site: FilesSite, tmp_path: Path) -> None:
    """Fails when a lease never ends, and when what it was given to is not fenced after that."""
    one, other = begun(site, tmp_path)
    frozen, alive = site.gateways
    assert one.patch(frozen.url, 0, FIRST) == 204
    stopped = threading.Event()

    def freeze(sent: int) -> None:
        if sent > SIZE // 2 and not stopped.is_set():
            frozen.tell(signal.SIGSTOP)
            stopped.set()

    statuses: list[int] = []
    sending = threading.Thread(
        target=lambda: statuses.append(one.patch(frozen.url, FIRST, on_sent=freeze))
    )
    sending.start()
    try:
        assert stopped.wait(30)
        # No HEAD: the lease ends by itself, and then the offset is what is wrong.
        assert other.patch(alive.url, 0, 1) == 423
        until(lambda: other.patch(alive.url, 0, 1) == 409, 60)
        offset = other.head(alive.url)
        assert FIRST <= offset < SIZE
        assert other.patch(alive.url, offset, SIZE // 4) == 204
    finally:
        frozen.tell(signal.SIGCONT)
        sending.join()
    assert statuses[0] in (409, 0)
    assert other.head(frozen.url) == offset + SIZE // 4
    assert other.patch(frozen.url, offset + SIZE // 4) == 204
    site.is_everywhere(one.path, joined(one.file, other.file, offset))


def test_a_store_that_is_killed_holds_uploads_up(site: FilesSite, tmp_path: Path) -> None:
    """Fails when progress is kept before the store has acknowledged it."""
    gateway, other = site.gateways
    upload = TusUpload(random_file(tmp_path, SIZE), site.token).begin(gateway.url)
    assert upload.patch(gateway.url, 0, FIRST) == 204

    killed = threading.Event()

    def kill(sent: int) -> None:
        if sent > SIZE // 2 and not killed.is_set():
            site.s3.kill()
            killed.set()

    with ThreadPoolExecutor() as pool:
        sending = pool.submit(upload.patch, gateway.url, FIRST, None, kill)
        try:
            assert killed.wait(30)
            for _ in range(5):
                length = {"Upload-Length": "1000"}
                assert status_of("POST", other, "/v1/files", site, **length) == 503
                assert status_of("GET", other, upload.path, site) in (404, 409)
        finally:
            site.s3.restart()
        assert sending.result() in (204, 503, 0)
    while (offset := upload.head(gateway.url)) < SIZE:
        assert upload.patch(gateway.url, offset) == 204
    site.is_everywhere(upload.path, sha256(upload.file))
