"""The handshake (RFC 6455, section 4.2): what is refused, who asks, and the answer."""

import base64
import binascii
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.types import Scope
from websockets.utils import accept_key

from chat4all.domain.errors import Chat4AllError, NotAllowed, NotSignedIn
from chat4all.gateway.live.clients import Credentials
from chat4all.http.bearer import bearer_token
from chat4all.http.limits import client_of
from chat4all.http.problems import BadRequest

PATH = "/v1/live"
SUBPROTOCOL = "chat4all.v1"
TOKEN_PREFIX = b"bearer."

_VERSION = b"13"
_KEY_BYTES = 16
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def refusal_of(scope: Scope, cors_origins: Collection[str]) -> Chat4AllError | None:
    """Return why a request for a WebSocket is refused, whoever asks; None when it is not."""
    if b"websocket" not in _items(scope, b"upgrade", lower=True):
        return _upgrade_required("connect with a WebSocket client")
    if _values(scope, b"sec-websocket-version") != [_VERSION]:
        return _upgrade_required("only version 13 of the WebSocket protocol is spoken")
    if not _is_key(_values(scope, b"sec-websocket-key")):
        return BadRequest(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in Base64")
    if not _is_allowed(scope, cors_origins):
        return NotAllowed("pages of this origin may not connect; see CHAT4ALL_CORS_ORIGINS")
    offered = _items(scope, b"sec-websocket-protocol")
    if offered and SUBPROTOCOL.encode() not in offered:
        detail = f"offer the subprotocol {SUBPROTOCOL}, or none"
        return BadRequest(HTTPStatus.BAD_REQUEST, detail)
    return None


def response_to(scope: Scope) -> bytes:
    """Return the answer that accepts a request which is not refused.

    Of the subprotocols it names ours, never the one with the token: answers are logged by proxies.
    """
    (key,) = _values(scope, b"sec-websocket-key")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key.decode('ascii'))}",
    ]
    if _items(scope, b"sec-websocket-protocol"):
        lines.append(f"Sec-WebSocket-Protocol: {SUBPROTOCOL}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def credentials_of(scope: Scope) -> Credentials:
    """Return who asks. A token in `Authorization` goes before one in a subprotocol."""
    # Not the headers: there may be 32 KiB of them, and a token, for as long as the socket lives.
    kept: Scope = {key: scope.get(key) for key in ("type", "method", "path", "client", "scheme")}
    return Credentials(_token(scope), client_of(scope), {**kept, "headers": []})


def _token(scope: Scope) -> str | None:
    try:
        return bearer_token(scope) or None
    except NotSignedIn:
        for item in _items(scope, b"sec-websocket-protocol"):
            if item.startswith(TOKEN_PREFIX):
                return item.removeprefix(TOKEN_PREFIX).decode("latin-1") or None
        return None


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value.strip() for found, value in scope["headers"] if found == name]


def _items(scope: Scope, name: bytes, *, lower: bool = False) -> list[bytes]:
    """Return the items of a header that is a list, in however many lines it comes."""
    value = b",".join(_values(scope, name))
    items = [item.strip() for item in (value.lower() if lower else value).split(b",")]
    return [item for item in items if item]


def _is_key(values: list[bytes]) -> bool:
    try:
        (key,) = values
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (ValueError, binascii.Error):
        return False


def _is_allowed(scope: Scope, cors_origins: Collection[str]) -> bool:
    """Say whether a page of the request's origin may connect; other clients send no origin."""
    origins = [value.decode("latin-1") for value in _values(scope, b"origin")]
    if not origins or "*" in cors_origins:
        return True
    if len(origins) > 1:
        return False
    (origin,) = origins
    return origin in cors_origins or _is_own(origin.lower(), _values(scope, b"host"))


def _is_own(origin: str, hosts: list[bytes]) -> bool:
    # Not the scheme: behind a proxy that is not trusted it is not known.
    try:
        scheme, place = urlsplit(origin)[:2]
    except ValueError:
        return False
    if len(hosts) != 1 or scheme not in _DEFAULT_PORTS or not place:
        return False
    host = hosts[0].decode("latin-1").lower()
    return host in (place, place + _DEFAULT_PORTS[scheme])


def _upgrade_required(detail: str) -> BadRequest:
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": _VERSION.decode(),
    }
    return BadRequest(HTTPStatus.UPGRADE_REQUIRED, detail, headers)
