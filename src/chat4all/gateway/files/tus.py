"""Uploads by tus 1.0.0: core, creation, creation-with-upload, checksum, expiration, termination."""

import binascii
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from chat4all.domain.errors import Overloaded, TooLarge
from chat4all.domain.files import FILE_MAX, FileId, Upload
from chat4all.domain.ids import Username
from chat4all.gateway.files.new_uploads import new_upload
from chat4all.gateway.files.paths import FILES_PATH
from chat4all.gateway.files.tus_headers import (
    CONTENT_TYPE,
    EXTENSIONS,
    METADATA_MAX,
    VERSION,
    bad,
    http_date,
    number,
    read_metadata,
)
from chat4all.http.frame import Header, add_headers
from chat4all.http.problems import BadRequest
from chat4all.http.route_limits import RouteLimits, set_limits
from chat4all.usecases.bodies import ALGORITHMS, BodyBroken, Checksum
from chat4all.usecases.uploading import Uploading

STALL_SECONDS = 30.0
"""A client that sends next to nothing for so long is cut off; it may go on with another request."""

UPLOAD_LIMITS = RouteLimits(body=FILE_MAX, stall_seconds=STALL_SECONDS)

_RESUMABLE = (b"tus-resumable", VERSION.encode())


class Incoming:
    """The body of a request as it arrives."""

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        length = headers.get("content-length", "")
        self.length = int(length) if length.isdigit() and len(length) < 16 else None
        """Bytes, if it says how many."""
        self.is_empty = self.length == 0 or not (length or "transfer-encoding" in headers)
        self.is_read = self.is_empty

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield its bytes. Raises `BodyBroken`."""
        while not self.is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BodyBroken
            self.is_read = not message.get("more_body", False)
            if data := message.get("body", b""):
                yield data


class Tus:
    """Answers the requests of tus, of users that are signed in."""

    def __init__(self, uploading: Uploading) -> None:
        self._uploading = uploading
        self._options: tuple[Header, ...] = (
            _RESUMABLE,
            (b"tus-version", VERSION.encode()),
            (b"tus-extension", EXTENSIONS.encode()),
            (b"tus-max-size", b"%d" % uploading.limits.size),
            (b"tus-checksum-algorithm", ",".join(ALGORITHMS).encode()),
        )

    async def options(self, send: Send) -> None:
        """Say what of tus is supported."""
        await _answer(send, HTTPStatus.NO_CONTENT, *self._options)

    def check_version(self, scope: Scope, headers: Headers) -> None:
        """Raise `BadRequest` with 412 unless a request is of this version of tus."""
        add_headers(scope, _RESUMABLE)
        if headers.get("tus-resumable") != VERSION:
            raise BadRequest(
                HTTPStatus.PRECONDITION_FAILED,
                f"say which version of tus this is: Tus-Resumable: {VERSION}",
                {"Tus-Version": VERSION},
            )

    async def create(
        self, owner: Username, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        """Begin an upload, with its first bytes or without."""
        set_limits(scope, UPLOAD_LIMITS)
        if "upload-defer-length" in headers:
            raise bad("say how long the file is: Upload-Length")
        size = number(headers, "Upload-Length")
        metadata = headers.get("upload-metadata", "")
        described = read_metadata(metadata)
        checksum = _checksum(headers)
        incoming = Incoming(headers, receive)
        async with _closing_unread(scope, incoming):
            if not incoming.is_empty:
                _check_type(headers)
            if incoming.length is not None and incoming.length > size:
                raise TooLarge(f"the body has more than {size:,} bytes")
            upload = await self._uploading.begin(
                new_upload(
                    owner, size, described.name, described.media_type, metadata[:METADATA_MAX]
                )
            )
            if not incoming.is_empty:
                upload = await self._with_body(upload, incoming, checksum)
        place = f"{FILES_PATH}/{upload.file_id}".encode()
        await _answer(send, HTTPStatus.CREATED, (b"location", place), *_progress(upload))

    async def head(self, owner: Username, file_id: FileId, send: Send) -> None:
        """Say how far an upload is, after whatever was adding to it has let go."""
        upload = await self._uploading.settled(owner, file_id)
        named = [(b"upload-metadata", upload.metadata.encode())] if upload.metadata else []
        await _answer(
            send,
            HTTPStatus.OK,
            *_progress(upload),
            (b"upload-length", b"%d" % upload.size),
            *named,
        )

    async def patch(
        self,
        owner: Username,
        file_id: FileId,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        send: Send,
    ) -> None:
        """Add the body's bytes."""
        set_limits(scope, UPLOAD_LIMITS)
        incoming = Incoming(headers, receive)
        async with _closing_unread(scope, incoming):
            _check_type(headers)
            offset = number(headers, "Upload-Offset")
            checksum = _checksum(headers)
            upload = await self._uploading.append(
                owner, file_id, offset, incoming.chunks(), checksum, length=incoming.length
            )
        await _answer(send, HTTPStatus.NO_CONTENT, *_progress(upload))

    async def delete(self, owner: Username, file_id: FileId, send: Send) -> None:
        """Give up an upload, or a file that no message names."""
        await self._uploading.end(owner, file_id)
        await _answer(send, HTTPStatus.NO_CONTENT)

    async def _with_body(
        self, upload: Upload, incoming: Incoming, checksum: Checksum | None
    ) -> Upload:
        owner, file_id = upload.owner, upload.file_id
        try:
            try:
                return await self._uploading.append(owner, file_id, 0, incoming.chunks(), checksum)
            except Overloaded:
                # With its address the client goes on later from what has arrived.
                return await self._uploading.settled(owner, file_id)
        except Exception:
            # The client does not learn its address.
            await self._uploading.take_back(upload)
            raise


class _closing_unread:  # noqa: N801 - a context manager, as `suppress` is
    """Closes the connection after an answer that is sent before the whole request has arrived."""

    def __init__(self, scope: Scope, incoming: Incoming) -> None:
        self._scope = scope
        self._incoming = incoming

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        if not self._incoming.is_read:
            add_headers(self._scope, (b"connection", b"close"))


def _progress(upload: Upload) -> list[Header]:
    offset = upload.progress.offset
    headers: list[Header] = [(b"upload-offset", b"%d" % offset)]
    if upload.expires_at:
        headers.append((b"upload-expires", http_date(upload.expires_at).encode()))
    return headers


def _check_type(headers: Headers) -> None:
    if headers.get("content-type", "").strip().lower() != CONTENT_TYPE:
        raise BadRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"send the bytes as they are: Content-Type: {CONTENT_TYPE}",
            {"Accept": CONTENT_TYPE},
        )
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BadRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "send the bytes as they are, without Content-Encoding",
            {"Accept-Encoding": "identity"},
        )


def _checksum(headers: Headers) -> Checksum | None:
    text = headers.get("upload-checksum")
    if text is None:
        return None
    try:
        return Checksum.parse(text.strip())
    except (binascii.Error, ValueError) as error:
        raise bad(f"Upload-Checksum: {error}") from None


async def _answer(send: Send, status: HTTPStatus, *headers: Header) -> None:
    length = [] if status is HTTPStatus.NO_CONTENT else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": b""})
