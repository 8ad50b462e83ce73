"""The OpenAPI description: FastAPI's own, and the routes and types that FastAPI does not see."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chat4all.web.problems import MEDIA_TYPE, Problem, kind_of_status

_REF = "#/components/schemas/{name}"

_DESCRIPTIONS = {
    400: "The body is not JSON.",
    401: "No token, or one that is not good.",
    403: "Not allowed.",
    404: "No such thing, or not yours to know of.",
    409: "Already taken.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not said to be JSON.",
    422: "A field breaks a rule; see `errors`.",
    503: "A part that it needs is away; try again after `Retry-After` seconds.",
}


def ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return the reference to a type's schema."""
    return {"$ref": _REF.format(name=struct.__name__)}


def json_content(
    struct: type[msgspec.Struct], *, many: bool = False, example: Any = None
) -> dict[str, Any]:
    """Return the `content` of a body of this type, or of a list of it."""
    schema: dict[str, Any] = {"type": "array", "items": ref(struct)} if many else ref(struct)
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"application/json": content}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these problems."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    kind, title = kind_of_status(status)
    headers: dict[str, Any] = {}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string", "example": "Bearer"}}
    if status == 503:
        headers["Retry-After"] = {"schema": {"type": "integer", "example": 1}}
    example = {
        "type": kind,
        "title": title,
        "status": status,
        "detail": _DESCRIPTIONS[status],
        "instance": "/v1/…",
        "request_id": "5a2c9e4e-3f9c-4f0e-9d55-0a6f2f9a7c11",
    }
    return {
        "description": _DESCRIPTIONS[status],
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": ref(Problem), "example": example}},
    }


def complete_openapi(
    app: FastAPI,
    structs: Sequence[type[msgspec.Struct]],
    operations: Mapping[tuple[str, str], dict[str, Any]],
) -> None:
    """Make `app.openapi()` tell all: these types, and operations by (path, method).

    The types are the ones that read the bodies, so that the description cannot differ from what
    is done.
    """
    _, schemas = msgspec.json.schema_components([*structs, Problem], ref_template=_REF)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            for (path, method), operation in operations.items():
                found["paths"].setdefault(path, {})[method] = operation
            found.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
