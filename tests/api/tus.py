"""Requests of tus, and a store of files for them."""

import base64
import hashlib
from typing import Any

import httpx

from tests.api.conftest import Api

RESUMABLE = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/offset+octet-stream"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def named(name: str, media_type: str = "") -> dict[str, str]:
    pairs = [f"filename {encoded(name)}"]
    if media_type:
        pairs.append(f"filetype {encoded(media_type)}")
    return {"Upload-Metadata": ",".join(pairs)}


def checksum(data: bytes, algorithm: str = "sha1") -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}


class Tus:
    """One user's tus client, a step at a time."""

    def __init__(self, api: Api, who: dict[str, str]) -> None:
        self._client = api.gateway
        self.who = who

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request; `_` in a header's name stands for `-`, and None leaves one out."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        all_headers = {**self.who, **RESUMABLE, **given}
        return await self._client.request(method, path, content=body, headers=all_headers)

    async def begin(self, size: int, **headers: str) -> str:
        answer = await self.ask("POST", "/v1/files", Upload_Length=str(size), **headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    async def patch(self, path: str, offset: int, body: Any, **headers: str) -> httpx.Response:
        return await self.ask("PATCH", path, body, Upload_Offset=str(offset), **OCTETS, **headers)

    async def upload(self, data: bytes, **headers: str) -> str:
        """Upload a file at once, and return its path."""
        path = await self.begin(len(data), **headers)
        if data:
            answer = await self.patch(path, 0, data)
            assert answer.status_code == 204, answer.text
        return path

    async def offset(self, path: str) -> int:
        answer = await self.ask("HEAD", path)
        assert answer.status_code == 200, answer.text
        return int(answer.headers["upload-offset"])
