"""One upload by plain tus requests, through any gateway: what is sent, acknowledged, lost."""

import hashlib
import http.client
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.machine import memory_of

MIB = 1024 * 1024
PIECE = 256 * 1024

LOST_MAX = 32 * MIB
"""Bytes of one break that are sent again: three parts of 8 MiB in memory, and what the
kernel's buffers hold."""

FLAT = 20 * MIB
"""How far a process's memory may be from its middle while any number of bytes go through it."""

SECONDS = 120

OnSent = Callable[[int], None]
"""Called with the offset up to which bytes were sent."""


def _nothing(_: int) -> None:
    """Let it go on."""


def random_file(folder: Path, size: int, seed: int = 0) -> Path:
    """Write a file that is the same for the same size and seed."""
    path, chance = folder / f"film-{seed}.bin", random.Random(seed)
    with path.open("wb") as file:
        for begin in range(0, size, MIB):
            file.write(chance.randbytes(min(MIB, size - begin)))
    return path


def sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class NotNow(Exception):
    """A server answers that it is not available at the moment."""


class TusUpload:
    """An upload of a file. `acknowledged` is the highest offset that a server has answered."""

    def __init__(self, file: Path, token: str) -> None:
        self.file = file
        self.size = file.stat().st_size
        self.path = ""
        self.acknowledged = 0
        self.sent = 0
        self.said = b""
        """The body of the last answer to a PATCH."""
        self._headers = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}

    def begin(self, gateway: str) -> "TusUpload":
        status, headers, _ = self._ask("POST", gateway, "/v1/files", {"Upload-Length": self.size})
        assert status == 201, status
        self.path = urlsplit(headers["Location"]).path
        return self

    def head(self, gateway: str) -> int:
        """Return how far it is, which is never before what was acknowledged. Raises `NotNow`."""
        status, headers, _ = self._ask("HEAD", gateway, self.path, {})
        if status in (409, 503):
            raise NotNow
        assert status == 200, status
        offset = int(headers["Upload-Offset"])
        assert offset >= self.acknowledged, "the server has lost what it had acknowledged"
        self.acknowledged = offset
        return offset

    def end(self, gateway: str) -> None:
        """Delete it, or what has become of it."""
        status, _, _ = self._ask("DELETE", gateway, self.path, {})
        assert status == 204, status

    def patch(
        self, gateway: str, offset: int, size: int | None = None, on_sent: OnSent = _nothing
    ) -> int:
        """Send bytes from an offset on; return the status, or 0 where the connection broke."""
        size = self.size - offset if size is None else min(size, self.size - offset)
        connection = _connection(gateway)
        try:
            with self.file.open("rb") as file:
                file.seek(offset)
                connection.putrequest("PATCH", self.path)
                for name, value in self._patch_headers(offset, size).items():
                    connection.putheader(name, value)
                connection.endheaders()
                end = offset + size
                while offset < end:
                    piece = file.read(min(PIECE, end - offset))
                    connection.send(piece)
                    offset += len(piece)
                    self.sent += len(piece)
                    on_sent(offset)
            return self._answered(connection)
        except (OSError, http.client.HTTPException):
            # The server may have answered before it had all of the body.
            return self._answered(connection)
        finally:
            connection.close()

    def _patch_headers(self, offset: int, size: int) -> dict[str, str]:
        return self._headers | {
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size),
        }

    def _answered(self, connection: http.client.HTTPConnection) -> int:
        try:
            answer = connection.getresponse()
            self.said = answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        if answer.status == 204:
            self.acknowledged = max(self.acknowledged, int(answer.headers["Upload-Offset"]))
        return answer.status

    def _ask(
        self, method: str, gateway: str, path: str, more: dict[str, Any]
    ) -> tuple[int, Any, bytes]:
        connection = _connection(gateway)
        try:
            headers = self._headers | {name: str(value) for name, value in more.items()}
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


class Memory:
    """Samples of the memory of a process with its children, in bytes."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._samples: list[float] = []

    def sample(self) -> None:
        found = memory_of(self._process)
        self._samples.append(found["pss_mib"] * MIB)

    def is_flat(self) -> None:
        assert len(self._samples) >= 20
        middle = (min(self._samples) + max(self._samples)) / 2
        assert max(self._samples) - middle <= FLAT, [int(s / MIB) for s in self._samples]


def _connection(gateway: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(gateway).netloc, timeout=SECONDS)
