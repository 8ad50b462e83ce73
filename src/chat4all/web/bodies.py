"""Reading a JSON body without FastAPI: bounded, and with the same refusals."""

import re
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.web.problems import BadRequest
from chat4all.wire.shapes import BODY_MAX

T = TypeVar("T")

_AT = re.compile(r"(?P<what>.*) - at `\$(?P<where>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return a JSON body's bytes.

    Raises `BadRequest` with 415 for another content type and 413 above 64 KiB, without reading
    on, and `ClientDisconnect` when there is nobody left to answer.
    """
    headers = Headers(scope=scope)
    require_json(headers)
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > BODY_MAX:
        raise _TOO_LARGE
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise _TOO_LARGE
        if not message.get("more_body", False):
            return bytes(body)


def require_json(headers: Headers) -> None:
    """Raise `BadRequest` with 415 unless the body is said to be JSON in UTF-8."""
    media_type, _, parameters = headers.get("content-type", "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if media_type.strip() != "application/json" or charset not in ("", "utf-8"):
        raise BadRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON: Content-Type: application/json"
        )


def decode_body(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the body as the decoder's type.

    Raises `BadRequest` with 400 for what is not JSON and `InvalidInput` for what breaks a rule.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidInput([_field_error(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the body is not JSON in UTF-8") from None


def _field_error(text: str) -> FieldError:
    """Turn msgspec's "what - at `$.where`" into a pointer and a sentence."""
    at = _AT.match(text)
    what, where = (at["what"], at["where"]) if at else (text, "")
    if missing := _MISSING.match(what):
        return FieldError(_pointer(where) + "/" + missing["field"], "this field is missing")
    return FieldError(_pointer(where), what)


def _pointer(where: str) -> str:
    return re.sub(r"\[(\d+)\]", r"/\1", where.replace(".", "/"))


_TOO_LARGE = BadRequest(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 64 KiB", {"Connection": "close"}
)
