"""The OpenAPI description: FastAPI's own, and the routes and types that FastAPI does not see."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from starlette.responses import HTMLResponse

from chat4all.http.problems import MEDIA_TYPE, Problem, kind_of_status

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
    429: "Asked too often; try again after `Retry-After` seconds.",
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


def _problem(status: int) -> dict[str, Any]:
    kind, title = kind_of_status(status)
    headers: dict[str, Any] = {}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"type": "string", "example": "Bearer"}}
    if status == 429:
        headers |= rate_limited("send", 200, 4)
    if status in (429, 503):
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


def make_app(title: str, description: str, version: str) -> tuple[FastAPI, str]:
    """Return an application whose `/docs` needs nothing from elsewhere, and that page's policy.

    The policy (Content-Security-Policy) allows the scripts of this page and no others.
    """
    app = FastAPIOffline(
        title=title, description=description, version=version, docs_url=None, redoc_url=None
    )
    static = "/static-offline-docs"
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=title,
        swagger_js_url=f"{static}/swagger-ui-bundle.js",
        swagger_css_url=f"{static}/swagger-ui.css",
        swagger_favicon_url=f"{static}/favicon.png",
        # Otherwise the description's address is sent to a service that judges it.
        swagger_ui_parameters={"validatorUrl": None},
    )
    html = bytes(page.body)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(html)

    scripts = re.findall(rb"<script>(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return app, (
        f"default-src 'none'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


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
