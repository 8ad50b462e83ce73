"""`GET /v1/files/{id}`: a file's bytes, or a range of them, with backpressure."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from chat4all.concurrency.room import Room, Share
from chat4all.domain.errors import Chat4AllError
from chat4all.domain.files import FileId
from chat4all.domain.ids import Username
from chat4all.gateway.files.asking_again import Permission
from chat4all.gateway.files.content_headers import (
    CONTENT_HEADERS,
    content_type,
    disposition,
    etag,
)
from chat4all.gateway.files.ranges import NotSatisfiable, Span, span_of
from chat4all.http.conditions import check_match, matches
from chat4all.http.frame import Header, set_content_headers
from chat4all.http.methods import WAS_HEAD
from chat4all.http.problems import BadRequest
from chat4all.http.route_limits import SENT
from chat4all.usecases.downloading import Downloading

PIECE_BYTES = 64 * 1024
"""Bytes that a client has to take within the time that it has for an answer."""

AT_ONCE_MAX = 128
"""Downloads of one process at a time: each has up to half a megabyte in memory, and may have a
connection to the store."""

WAITING_MAX = 256
"""Downloads that may wait for their turn."""

STEADY_BYTES = 1024 * 1024
"""Bytes that a client has to take within `SLOW_SECONDS` while others wait for their turn."""


_log = logging.getLogger(__name__)


class Downloads:
    """Answers with files."""

    def __init__(self, downloading: Downloading) -> None:
        self._downloading = downloading
        self._room = Room[Username](AT_ONCE_MAX, WAITING_MAX, "files are being downloaded")

    async def answer(
        self, viewer: Username, file_id: FileId, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer with a file, a part of it, or that the client has it."""
        headers = Headers(scope=scope)
        permission = Permission(self._downloading, file_id, viewer)
        file = await self._downloading.find(file_id, viewer)
        tag = etag(file)
        answered: list[Header] = [
            (b"etag", tag.encode()),
            (b"accept-ranges", b"bytes"),
            (b"content-disposition", disposition(file).encode()),
        ]
        check_match(headers, tag)
        if (condition := headers.get("if-none-match")) is not None and matches(condition, tag):
            set_content_headers(scope, *CONTENT_HEADERS)
            await _send_start(send, HTTPStatus.NOT_MODIFIED, answered)
            await send({"type": "http.response.body", "body": b""})
            return
        # Ranges are GET's alone (RFC 9110, section 14.2).
        asked = None if scope.get(WAS_HEAD) else headers.get("range")
        try:
            span = span_of(asked, headers.get("if-range"), tag, file.size)
        except NotSatisfiable:
            raise BadRequest(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                f"the file has {file.size:,} bytes",
                {"Content-Range": f"bytes */{file.size}", "Accept-Ranges": "bytes"},
            ) from None
        start, end = span or Span(0, file.size)
        answered += [
            (b"content-type", content_type(file).encode()),
            (b"content-length", b"%d" % (end - start)),
        ]
        status = HTTPStatus.OK
        if span is not None:
            status = HTTPStatus.PARTIAL_CONTENT
            answered.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, file.size)))
        if scope.get(WAS_HEAD) or start == end:
            set_content_headers(scope, *CONTENT_HEADERS)
            await _send_start(send, status, answered)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            # None: for as long as it takes, unless others wait and this client is slow.
            async with asyncio.timeout(None) as patience:
                with self._room.share(viewer, partial(patience.reschedule, 0)) as share:
                    await share.take(1)
                    share.work()
                    pieces = self._downloading.read(file, viewer, start, end - start)
                    head = status, answered
                    await _stream(pieces, head, permission, share, scope, receive, send)
        except TimeoutError:
            if not patience.expired():
                raise
            _log_broken_off(permission, "others wait; it is slow")


async def _stream(
    pieces: AsyncGenerator[bytes, None],
    head: tuple[HTTPStatus, list[Header]],
    permission: Permission,
    share: Share[Username],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    async with aclosing(_small(pieces)) as data:
        piece = await anext(data, None)
        await permission.check()  # until here an error becomes a problem response
        set_content_headers(scope, *CONTENT_HEADERS)
        await _send_start(send, *head)
        gone = asyncio.create_task(_until_gone(receive))
        share.wait_for_client()
        taken = 0
        try:
            while piece is not None:
                await permission.wait(share, gone)
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                scope[SENT] = scope.get(SENT, 0) + len(piece)
                taken += len(piece)
                if taken >= STEADY_BYTES:
                    share.wait_for_client()
                    taken = 0
                piece = await anext(data, None)
            await send({"type": "http.response.body", "body": b""})
        except Chat4AllError as error:
            # The client sees by Content-Length that bytes are missing.
            _log_broken_off(permission, str(error))
        finally:
            gone.cancel()


def _log_broken_off(permission: Permission, cause: str) -> None:
    extra = {"file_id": permission.file_id, "user": permission.viewer, "cause": cause}
    _log.warning("a download was broken off", extra=extra)


async def _send_start(send: Send, status: HTTPStatus, headers: list[Header]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _small(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces) as data:
        async for piece in data:
            for start in range(0, len(piece), PIECE_BYTES):
                yield piece[start : start + PIECE_BYTES]


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
