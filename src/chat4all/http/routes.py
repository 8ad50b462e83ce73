"""The routers of all endpoints: each checks a body's type, and reads JSON as every other does."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope

from chat4all.http.bodies import require_json
from chat4all.http.forms import read_form
from chat4all.http.json_bodies import read_json

_Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def api_router(tag: str) -> APIRouter:
    """Return a router for endpoints, which are described under this tag."""
    return APIRouter(tags=[tag], route_class=_Route)


class _Route(APIRoute):
    """A route whose body, if it has one, is a form or JSON in UTF-8 and nothing else.

    FastAPI's own readers take NaN, UTF-16 and a body that is not said to be JSON, and forms in
    latin-1.
    """

    def get_route_handler(self) -> _Endpoint:
        """Return what answers a request."""
        answer: _Endpoint = super().get_route_handler()
        if self.body_field is None:
            return answer
        is_form = isinstance(self.body_field.field_info, Form)

        async def read_first(request: Request) -> Response:
            if is_form:
                await read_form(request)
                return await answer(request)
            require_json(request.headers)
            body = await request.body()
            return await answer(_Read(request.scope, request.receive, body, read_json(body)))

        return read_first


class _Read(Request):
    """A request whose body was read."""

    def __init__(self, scope: Scope, receive: Receive, body: bytes, value: Any) -> None:
        super().__init__(scope, receive)
        self._body = body
        self._value = value

    async def json(self) -> Any:
        """Return the body."""
        return self._value
