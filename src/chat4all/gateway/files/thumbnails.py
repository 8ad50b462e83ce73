"""`GET /v1/files/{id}/thumbnail`: a small picture that is safe to show."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.files import FileId
from chat4all.domain.ids import Username
from chat4all.gateway.files.content_headers import CONTENT_HEADERS
from chat4all.gateway.files.paths import query_of
from chat4all.gateway.files.ranges import matches
from chat4all.http.frame import set_content_headers
from chat4all.http.methods import WAS_HEAD
from chat4all.usecases.downloading import Downloading
from chat4all.usecases.picturing import THUMBNAIL_TYPE, Picturing, thumbnail_size

SIZE_PARAMETER = "size"
SIZE_DEFAULT = 480
SIZE_MAX = 4_096
"""Pixels that may be asked for; the largest thumbnail that there is is smaller."""


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
        file = await self._downloading.find(file_id, viewer)
        tag = f'"{file.facts.sha256}-{size}"'
        headers = [(b"etag", tag.encode())]
        condition = Headers(scope=scope).get("if-none-match")
        status, body = HTTPStatus.NOT_MODIFIED, b""
        if condition is None or not matches(condition, tag):
            status = HTTPStatus.OK
            body = await self._picturing.thumbnail(file, size, viewer)
            headers += [
                (b"content-type", THUMBNAIL_TYPE.encode()),
                (b"content-length", b"%d" % len(body)),
            ]
        set_content_headers(scope, *CONTENT_HEADERS)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        shown = b"" if scope.get(WAS_HEAD) else body
        await send({"type": "http.response.body", "body": shown})


def _size(scope: Scope) -> int:
    asked = query_of(scope).get(SIZE_PARAMETER, [str(SIZE_DEFAULT)])[0]
    if (
        asked.isascii()
        and asked.isdigit()
        and len(asked) <= len(str(SIZE_MAX))
        and 1 <= int(asked) <= SIZE_MAX
    ):
        return int(asked)
    detail = f"a number of pixels, 1 to {SIZE_MAX:,}"
    raise InvalidInput([FieldError(f"/{SIZE_PARAMETER}", detail)])
