"""JSON answers from the types of `wire`."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

_encoder = msgspec.json.Encoder()


def json_response(view: Any, *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return the answer whose body is a struct of `wire`, or a list of them."""
    return Response(_encoder.encode(view), status, media_type="application/json")
