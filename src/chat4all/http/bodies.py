"""Request bodies: bounded by their route's limits, and read without FastAPI on fast routes."""

from collections.abc import Iterable
from http import HTTPStatus

from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat4all.http.problems import BadRequest, problem_response
from chat4all.http.route_limits import DeclaredLimits, limits_of, set_limits


class BodyLimit:
    """ASGI middleware before FastAPI: bounds bodies by their routes' limits, decompresses none.

    `routers` are those of the application; the limits are the ones that its routes declare.
    """

    def __init__(self, app: ASGIApp, routers: Iterable[APIRouter] = ()) -> None:
        self._app = app
        self._declared = DeclaredLimits(routers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it for the length or coding that it declares."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (limits := self._declared.of(scope)) is not None:
            set_limits(scope, limits)
        most, total = limits_of(scope).body, 0
        try:
            _check_head(scope, most)
        except BadRequest as error:
            await problem_response(error, scope["path"])(scope, receive, send)
            return

        async def receive_bounded() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > most:
                # The only kind of error that FastAPI passes on while it reads a body.
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    too_large(most),
                    headers={"Connection": "close"},
                )
            return message

        await self._app(scope, receive_bounded, send)


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return a JSON body's bytes.

    Raises `BadRequest` with 415 for another content type or coding and 413 above the route's limit,
    without reading on, and `ClientDisconnect` when the client has gone.
    """
    most = limits_of(scope).body
    _require_json(_check_head(scope, most))
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(body)


def _check_head(scope: Scope, most: int) -> bytes:
    """Return the content type. Raises `BadRequest` for a body that its headers already rule out."""
    content_type = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            if value.isdigit() and (len(value) > 9 or int(value) > most):
                raise _too_large(most)
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise _encoded()
    return content_type


def require_json(headers: Headers) -> None:
    """Raise `BadRequest` with 415 unless the content type is JSON in UTF-8."""
    _require_json(headers.get("content-type", "").encode("latin-1"))


def _require_json(content_type: bytes) -> None:
    if content_type == b"application/json":
        return
    media_type, _, parameters = content_type.lower().partition(b";")
    charset = parameters.strip().removeprefix(b"charset=").strip(b'"')
    if media_type.strip() != b"application/json" or charset not in (b"", b"utf-8"):
        raise BadRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "send JSON: Content-Type: application/json",
            {"Accept": "application/json"},
        )


def too_large(most: int) -> str:
    """Return the sentence that refuses a body of more than `most` bytes."""
    return f"the body is larger than {most // 1024} KiB"


# A new error each time: one that is raised again keeps the frames of every earlier request, and
# with them its body.
def _too_large(most: int) -> BadRequest:
    return BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large(most), {"Connection": "close"})


def _encoded() -> BadRequest:
    # RFC 9110, section 15.5.16: a 415 names the codings that are accepted.
    return BadRequest(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "send the body as it is, without Content-Encoding",
        {"Accept-Encoding": "identity", "Connection": "close"},
    )
