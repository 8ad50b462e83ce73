"""The OpenAPI description: FastAPI's, plus the routes and types that FastAPI does not know."""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chat4all.http.oauth import TOKEN_PATH
from chat4all.http.problems import kind_of_status
from chat4all.http.rates import limit_name
from chat4all.wire.body_sizes import BODY_MAX
from chat4all.wire.problems import MEDIA_TYPE, Problem
from chat4all.wire.schemas import schemas_of

TOKEN_SCHEME = "token"  # noqa: S105 - a name
"""What descriptions call the way to be somebody: an access token."""

TOKEN_SECURITY: list[dict[str, list[str]]] = [{TOKEN_SCHEME: []}]
"""The `security` of an operation that needs one."""

_REF = "#/components/schemas/{name}"
_REFERENCES = re.compile(rb'"#/components/schemas/(\w+)"')

_referenced: dict[str, type[Any]] = {}
"""Every type that a description refers to, by its name there."""

_DESCRIPTIONS = {
    400: "The body is not JSON.",
    401: "No token, or one that is not good.",
    403: "Not allowed.",
    404: "No such thing, or not yours to know of.",
    409: "It contradicts how things are now; the route says how.",
    412: "A condition in the headers does not hold.",
    413: f"The body is larger than {BODY_MAX // 1024} KiB, or than what the route says.",
    415: "The body is not said to be JSON, or a form where the route takes one.",
    416: "The range begins after the end of the file.",
    422: "A field breaks a rule; see `errors`.",
    423: "Another request holds it.",
    429: "Asked too often; try again after `Retry-After` seconds.",
    460: "The body is not what its checksum says.",
    501: "This installation does not have it.",
    503: "A part that it needs does not answer. Nothing was done: try again after `Retry-After` "
    "seconds; or, with `/problems/outcome-unknown`, it may have been done: `detail` says how to "
    "find out.",
    507: "The store of files is full.",
}


def ref(struct: type[Any]) -> dict[str, str]:
    """Return the reference to a type's schema, which `complete_openapi` adds."""
    if _referenced.setdefault(struct.__name__, struct) is not struct:
        raise TypeError(f"two types are described as {struct.__name__}")
    return {"$ref": _REF.format(name=struct.__name__)}


def json_content(*structs: type[Any], many: bool = False, example: Any = None) -> dict[str, Any]:
    """Return the `content` of a body of this type, of one of several, or of a list of it."""
    schema: dict[str, Any] = (
        ref(structs[0]) if len(structs) == 1 else {"anyOf": [ref(struct) for struct in structs]}
    )
    content: dict[str, Any] = {"schema": {"type": "array", "items": schema} if many else schema}
    if example is not None:
        content["example"] = example
    return {"application/json": content}


def json_body(struct: type[Any], example: Any) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that takes a body of this type and reads it itself."""
    return {"requestBody": {"required": True, "content": json_content(struct, example=example)}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these problems."""
    return {status: _problem(status) for status in statuses}


def problem_meaning(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a problem that means something else on this route."""
    return {status: _problem(status, description)}


def larger_body(most: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route whose body may have so many bytes."""
    return problem_meaning(413, f"The body is larger than {most // 1024} KiB.")


def rate_limited(name: str, quota: int, seconds: int) -> dict[str, Any]:
    """Return the `headers` of the answers of a route that has a limit, with an example."""
    return {
        "RateLimit-Policy": {
            "description": "How many requests (`q`) in how many seconds (`w`).",
            "schema": {"type": "string", "example": f'"{name}";q={quota};w={seconds}'},
        },
        "RateLimit": {
            "description": "How many are left (`r`) and in how many seconds there will be more.",
            "schema": {"type": "string", "example": f'"{name}";r={quota - 1};t=1'},
        },
    }


def _problem(status: int, description: str = "") -> dict[str, Any]:
    kind, title = kind_of_status(status)
    description = description or _DESCRIPTIONS[status]
    headers: dict[str, Any] = {}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string", "example": "Bearer"}}
    if status == 429:
        headers |= rate_limited("send", 200, 4)
    if status in (423, 429, 503, 507):
        headers["Retry-After"] = {"schema": {"type": "integer", "example": 1}}
    example = {
        "type": kind,
        "title": title,
        "status": status,
        "detail": description,
        "instance": "/v1/…",
        "request_id": "5a2c9e4e-3f9c-4f0e-9d55-0a6f2f9a7c11",
    }
    return {
        "description": description,
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": ref(Problem), "example": example}},
    }


def _name_problems(described: dict[str, Any]) -> None:
    """Describe each problem once, and refer to it from the routes that answer with it."""
    named: dict[str, Any] = {}
    for operations in described["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) in _DESCRIPTIONS and response == _problem(int(status)):
                    named[f"Problem{status}"] = response
                    operation["responses"][status] = {
                        "$ref": f"#/components/responses/Problem{status}"
                    }
    described.setdefault("components", {})["responses"] = dict(sorted(named.items()))


def _name_token_elsewhere(described: dict[str, Any]) -> None:
    """Describe a token as one that is had elsewhere, unless this service has the route for it."""
    schemes = described["components"].get("securitySchemes", {})
    if TOKEN_SCHEME in schemes and TOKEN_PATH not in described["paths"]:
        schemes[TOKEN_SCHEME] = {
            "type": "http",
            "scheme": "bearer",
            "description": f"The access token of the gateway's `POST {TOKEN_PATH}`.",
        }


def problems_table() -> str:
    """Return a table of all problems, for the page of documentation."""
    rows = [f"| {status} | {text} |" for status, text in _DESCRIPTIONS.items()]
    return "\n".join(["| status | |", "|---|---|", *rows])


def complete_openapi(
    app: FastAPI, operations: Mapping[tuple[str, str], dict[str, Any]] | None = None
) -> None:
    """Make `app.openapi()` complete: add operations by (path, method), and the types referred to.

    The same types decode the bodies and encode the answers, so the description cannot differ from
    what the routes do.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            for (path, method), operation in (operations or {}).items():
                described["paths"].setdefault(path, {})[method] = deepcopy(operation)
            for path, of_path in described["paths"].items():
                for method, operation in of_path.items():
                    if limit_name(method.upper(), path) is not None:
                        operation["responses"].setdefault("429", _problem(429))
            _name_problems(described)
            _name_token_elsewhere(described)
            names = {name.decode() for name in _REFERENCES.findall(msgspec.json.encode(described))}
            types = [_referenced[name] for name in sorted(names & _referenced.keys())]
            schemas = described.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(schemas_of(types, _REF))
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
