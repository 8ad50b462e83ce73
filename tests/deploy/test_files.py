"""Files through Caddy and nginx, set up as `deploy/` shows: nothing of them waits in the proxy."""

import base64
import hashlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chat4all.gateway.files.tus_headers import METADATA_MAX
from tests.deploy.proxies import NAME, Proxy, caddy, nginx
from tests.deploy.upstream import read_until
from tests.faults.running import Running, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MIB = 1024 * 1024
SIZE = 32 * MIB
PIECE = MIB
STEADY_SECONDS = 1.0


@dataclass(frozen=True)
class Site:
    """Chat4All behind a proxy, and a user of it."""

    proxy: Proxy
    running: Running
    token: str

    def connect(self, head: str, **headers: object) -> socket.socket:
        """Return a connection on which a request has begun."""
        connection = self.proxy.connect()
        connection.settimeout(60)
        given = {
            "Host": f"{NAME}:{self.proxy.port}",
            "Authorization": f"Bearer {self.token}",
            "Tus-Resumable": "1.0.0",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"{head} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def ask(self, head: str, **headers: object) -> tuple[str, bytes]:
        """Return the head of an answer, and its whole body."""
        with self.connect(head, Connection="close", **headers) as connection:
            got = list(iter(lambda: connection.recv(PIECE), b""))
        answered, _, body = b"".join(got).partition(b"\r\n\r\n")
        return answered.decode(), body

    def begin(self, size: int, **more: object) -> str:
        """Begin an upload, and return its path."""
        answered, _ = self.ask("POST /v1/files", Upload_Length=size, Content_Length=0, **more)
        return str(re.findall(r"(?im)^location: (\S+)", answered)[0])

    def patch(self, path: str, offset: int, length: int) -> socket.socket:
        kind = "application/offset+octet-stream"
        return self.connect(
            f"PATCH {path}", Upload_Offset=offset, Content_Length=length, Content_Type=kind
        )

    def offset(self, path: str) -> int:
        answered, _ = self.ask(f"HEAD {path}")
        return int(re.findall(r"(?im)^upload-offset: (\d+)", answered)[0])

    def counted(self, name: str) -> int:
        """Return one of the gateway's own numbers, which no proxy shows."""
        with urllib.request.urlopen(f"{self.running.gateway}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return int(float(re.findall(rf"(?m)^chat4all_files_{name} (\S+)$", text)[0]))


@pytest.fixture(scope="module", params=[caddy, nginx], ids=["caddy", "nginx"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    trusting = ["env", "CHAT4ALL_TRUSTED_PROXIES=127.0.0.1", sys.executable, "-m", "chat4all"]
    running = Running(tmp_path_factory.mktemp("product"), command=trusting).start()
    try:
        with request.param(tmp_path_factory.mktemp("proxy"), running.port) as proxy:
            yield Site(proxy, running, running.token("bruno"))
    finally:
        running.kill()


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture(scope="module")
def uploaded(site: Site, content: bytes) -> str:
    path = site.begin(SIZE)
    with site.patch(path, 0, SIZE) as connection:
        connection.sendall(content)
        assert b" 204 " in read_until(connection, b"\r\n\r\n")
    return path


def test_bytes_are_passed_on_as_they_come(site: Site, content: bytes) -> None:
    before, path, half = site.counted("received_bytes_total"), site.begin(SIZE), SIZE // 2
    with site.patch(path, 0, SIZE) as connection:
        connection.sendall(content[:half])
        # The rest is sent only when this half has arrived behind the proxy.
        until(lambda: site.counted("received_bytes_total") - before == half, 60)
        connection.sendall(content[half:])
        answered = read_until(connection, b"\r\n\r\n").decode()
    assert " 204 " in answered.splitlines()[0]
    assert re.findall(r"(?im)^upload-offset: (\d+)", answered) == [str(SIZE)]
    assert site.ask(f"GET {path}")[1] == content


def test_what_arrived_before_a_break_is_kept(site: Site, content: bytes) -> None:
    before, path, sent = site.counted("received_bytes_total"), site.begin(SIZE), 20 * MIB + 7
    with site.patch(path, 0, SIZE) as connection:
        connection.sendall(content[:sent])
        until(lambda: site.counted("received_bytes_total") - before == sent, 60)
    assert site.offset(path) == sent
    with site.patch(path, sent, SIZE - sent) as connection:
        connection.sendall(content[sent:])
        assert b" 204 " in read_until(connection, b"\r\n\r\n")
    assert site.ask(f"GET {path}")[1] == content


def test_an_upload_with_the_most_metadata_is_asked_for(site: Site) -> None:
    """Its answer has all of it in its head: more than the one buffer of nginx takes by default."""
    metadata = "filename YQ==,other ".ljust(METADATA_MAX, "A")
    answered, _ = site.ask(f"HEAD {site.begin(1, Upload_Metadata=metadata)}")
    assert " 200 " in answered.splitlines()[0]
    assert f"upload-metadata: {metadata}\r\n".lower() in f"{answered}\r\n".lower()


def test_a_range_comes_through(site: Site, content: bytes, uploaded: str) -> None:
    answered, body = site.ask(f"GET {uploaded}", Range="bytes=1000000-30999999")
    assert " 206 " in answered.splitlines()[0]
    assert f"bytes 1000000-30999999/{SIZE}" in answered
    assert body == content[1_000_000:31_000_000]
    answered, body = site.ask(f"GET {uploaded}", Range=f"bytes={SIZE}-")
    assert " 416 " in answered.splitlines()[0]


def test_a_download_goes_no_faster_than_its_client(site: Site, uploaded: str) -> None:
    """Fails when the proxy stores what its client has not taken yet."""
    before = site.counted("sent_bytes_total")
    with site.connect(f"GET {uploaded}") as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        read_until(connection, b"\r\n\r\n")
        sent, since = 0, time.monotonic()
        while time.monotonic() < since + STEADY_SECONDS or not sent:
            if (now := site.counted("sent_bytes_total") - before) != sent:
                sent, since = now, time.monotonic()
    assert sent < SIZE - 4 * MIB  # what is between them waits in the buffers of two connections


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_uploads_in_one_request(
    site: Site, content: bytes, tmp_path: Path, version: str
) -> None:
    """HTTP/2 has windows of its own, and curl asks first whether it may send so much."""
    authority = tmp_path / "authority.pem"
    certificates = site.proxy.context.get_ca_certs(binary_form=True)
    encoded = [base64.encodebytes(one).decode() for one in certificates]
    pem = "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n"
    authority.write_text("".join(map(pem.format, encoded)))
    film = tmp_path / "film"
    film.write_bytes(content)
    path = site.begin(SIZE)
    headers = {
        "Authorization": f"Bearer {site.token}",
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Checksum": f"sha1 {base64.b64encode(hashlib.sha1(content).digest()).decode()}",
    }
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    told = subprocess.run(
        [
            *("curl", "-sS", version, "--cacert", str(authority), "--noproxy", "*", "-X", "PATCH"),
            *("-w", "%{http_code} %{http_version}", "-T", str(film), *given),
            f"{site.proxy.url}{path}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert told.stdout == f"204 {version.removeprefix('--http').removesuffix('.0')}", told.stderr
    assert site.offset(path) == SIZE
