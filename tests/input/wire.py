"""Bytes to a port and what comes back, for requests that no client library would send."""

import json
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

SECONDS_MAX = 10.0
"""Every refusal must have come by then."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """Return the body, which must be a problem (RFC 9457)."""
        assert self.headers["content-type"] == "application/problem+json", self
        found: dict[str, Any] = json.loads(self.body)
        assert {"type", "title", "status", "detail", "instance", "request_id"} <= found.keys()
        assert found["status"] == self.status
        assert found["request_id"] == self.headers["x-request-id"]
        return found


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX)
        self._got = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes | Iterable[bytes]) -> None:
        """Send as much as the other side takes."""
        for part in [data] if isinstance(data, bytes) else data:
            try:
                self.socket.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                return

    def answer(self, method: str = "POST") -> Answer | None:
        """Return the next answer; None when the connection ends without one."""
        while b"\r\n\r\n" not in self._got:
            if not self._more():
                assert self._got == b"", self._got
                return None
        head, _, self._got = self._got.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        if status == 100:
            return self.answer(method)
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        while len(self._got) < length:
            assert self._more(), "the answer is cut off"
        body, self._got = self._got[:length], self._got[length:]
        return Answer(status, headers, body)

    def is_closed(self) -> bool:
        """Say whether the other side ends the connection within the time that it has."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            if not self._more():
                return True
        return False

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._got += data
        return data != b""


def request(
    target: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    token: str | None = None,
    content_type: str | None = "application/json",
    length: bool = True,
    more: Iterable[str] = (),
) -> bytes:
    """Return a request's bytes."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *more]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
