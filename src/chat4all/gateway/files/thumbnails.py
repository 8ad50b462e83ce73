"""`GET /v1/files/{id}/thumbnail`: a small picture that is safe to show."""

from functools import partial
from http import HTTPStatus
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.files import FileId
from chat4all.domain.ids import Username
from chat4all.gateway.files.asking_again import Permission
from chat4all.gateway.files.content_headers import CONTENT_HEADERS
from chat4all.gateway.files.paths import query_of
from chat4all.http.conditions import check_match, is_any, matches
from chat4all.http.frame import set_content_headers
from chat4all.http.methods import WAS_HEAD
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.picturing import (
    THUMBNAIL_TYPE,
    Picturing,
    check_has_thumbnail,
    thumbnail_size,
)

SIZE_PARAMETER = "size"
SIZE_DEFAULT = 480
SIZE_MAX = 4_096
"""Pixels that may be asked for; the largest thumbnail that there is is smaller."""

_PIXELS = TypeAdapter[int](Annotated[int, Field(ge=1, le=SIZE_MAX)])
"""Read as FastAPI reads the parameters of other routes."""


class Thumbnails:
    """Answers with thumbnails."""

    def __init__(self, downloading: Downloading, picturing: Picturing) -> None:
        self._downloading = downloading
        self._picturing = picturing

    async def answer(
        self, viewer: Username, file_id: FileId, scope: Scope, _: Receive, send: Send
    ) -> None:
        """Answer with a thumbnail, or that the client has it."""
        size = thumbnail_size(_size(scope))
        permission = Permission(self._downloading, file_id, viewer)
        file = await self._downloading.find(file_id, viewer)
        check_has_thumbnail(file)
        tag = f'"{file.facts.sha256}-{size}"'
        asked = Headers(scope=scope)
        check_match(asked, tag)
        headers = [(b"etag", tag.encode())]
        condition = asked.get("if-none-match")
        status, body = HTTPStatus.NOT_MODIFIED, b""
        # Who names a thumbnail has seen it; whether there is any at all shows when it is made.
        if condition is None or is_any(condition) or not matches(condition, tag):
            read = partial(self._downloading.read, file, viewer, 0, file.size)
            body = await self._picturing.thumbnail(file, size, viewer, read)
            await permission.check()
        if condition is None or not matches(condition, tag):
            status = HTTPStatus.OK
            headers += [
                (b"content-type", THUMBNAIL_TYPE.encode()),
                (b"content-length", b"%d" % len(body)),
            ]
        set_content_headers(scope, *CONTENT_HEADERS)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        has_body = status is HTTPStatus.OK and not scope.get(WAS_HEAD)
        await send({"type": "http.response.body", "body": body if has_body else b""})


def _size(scope: Scope) -> int:
    asked = query_of(scope, with_empty=True).get(SIZE_PARAMETER)
    if asked is None:
        return SIZE_DEFAULT
    try:
        return _PIXELS.validate_python(asked[-1])
    except ValidationError as error:
        where = f"/query/{SIZE_PARAMETER}"
        raise InvalidInput([FieldError(where, one["msg"]) for one in error.errors()]) from None
