"""Forms: one reader for all routes that take them, strictly in UTF-8 and without repeated names.

Starlette's takes what is not UTF-8, percent-encoded or not, for latin-1: of a password that was
sent as it is, in UTF-8, that makes another one. Its multipart parser is used, on what is UTF-8.
"""

import re
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from starlette.datastructures import FormData, Headers
from starlette.requests import Request

from chat4all.http.problems import BadRequest

URL_ENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_charsets = re.compile(r';\s*charset\s*=\s*"?([^\s";]*)', re.IGNORECASE).findall


async def read_form(request: Request) -> None:
    """Read a request's form, which `request.form()` returns from then on.

    Raises `BadRequest` with 415 for another content type or charset, and 400 for what is not in
    UTF-8, or has a name twice (RFC 6749, section 3.2).
    """
    media_type = _form_type(request.headers)
    body = await request.body()
    try:
        body.decode()
        if media_type != MULTIPART:
            request._form = _url_encoded(body) if media_type else FormData()
    except UnicodeDecodeError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the form is not in UTF-8") from None
    form = await request.form()
    if len(form.multi_items()) > len(form):
        await form.close()
        raise BadRequest(HTTPStatus.BAD_REQUEST, "a field of the form is repeated")


def _form_type(headers: Headers) -> str:
    """Return the content type; "" where there is none."""
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in ("", URL_ENCODED, MULTIPART):
        raise _unsupported(f"send a form, not JSON: Content-Type: {URL_ENCODED}")
    if any(charset.lower() != "utf-8" for charset in _charsets(content_type)):
        raise _unsupported("send the form in UTF-8")
    return media_type


def _unsupported(detail: str) -> BadRequest:
    accepted = {"Accept": f"{URL_ENCODED}, {MULTIPART}"}
    return BadRequest(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, accepted)


def _url_encoded(body: bytes) -> FormData:
    pairs = (pair.partition(b"=") for pair in body.split(b"&") if pair)
    return FormData([(_text(name), _text(value)) for name, _, value in pairs])


def _text(encoded: bytes) -> str:
    return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
