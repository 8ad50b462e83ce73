"""`/asyncapi.json` and `/docs/live`: the live interface, for programs and for people."""

from functools import cache

import msgspec
from fastapi import APIRouter, Response
from starlette.responses import HTMLResponse

from chat4all.gateway.live.asyncapi import live_description
from chat4all.gateway.live.page import page_of

DESCRIPTION_PATH = "/asyncapi.json"
PAGE_PATH = "/docs/live"


@cache
def describing_routes() -> APIRouter:
    """Return the two routes. What they answer is made when it is first asked for."""
    router = APIRouter(include_in_schema=False)

    @router.get(DESCRIPTION_PATH)
    async def description() -> Response:
        return Response(_json(), media_type="application/json")

    @router.get(PAGE_PATH)
    async def page() -> HTMLResponse:
        return HTMLResponse(_page())

    return router


@cache
def _json() -> bytes:
    return msgspec.json.encode(live_description())


@cache
def _page() -> bytes:
    return page_of(live_description()).encode()
