"""The one place that turns errors into HTTP answers: `application/problem+json` (RFC 9457)."""

import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from chat4all.domain.errors import (
    AlreadyTaken,
    BeingChecked,
    Busy,
    Chat4AllError,
    ChecksumMismatch,
    Conflict,
    Fenced,
    FieldError,
    InvalidGrant,
    InvalidInput,
    NotAccepted,
    NotAllowed,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    OutOfSpace,
    Overloaded,
    QuotaReached,
    TooLarge,
    TooMany,
    Unavailable,
)
from chat4all.http import outcomes
from chat4all.http.methods import allowed
from chat4all.http.oauth import TOKEN_PATH, add_oauth_error
from chat4all.http.request_id import current_request_id
from chat4all.wire.problems import MEDIA_TYPE, Problem, ProblemField, ProblemSlug, type_of

SLUG = "chat4all.problem"
"""The scope's key for the kind of problem that a request was answered with."""

REASON = "chat4all.reason"
"""The scope's key for why a request was refused, in words for the log."""

REASON_MAX = 200
"""Characters of it."""

CHECKSUM_MISMATCH = 460
"""A status of tus: a body is not what its checksum says."""

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class BadRequest(Chat4AllError):
    """A request that is refused at the level of HTTP, before any use case."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    slug: str
    title: str


# The first match counts, so the most specific come first.
_KINDS: Sequence[tuple[type[Chat4AllError], _Kind]] = (
    (
        InvalidInput,
        _Kind(HTTPStatus.UNPROCESSABLE_ENTITY, ProblemSlug.INVALID_INPUT, "Invalid input"),
    ),
    (NotSignedIn, _Kind(HTTPStatus.UNAUTHORIZED, ProblemSlug.NOT_SIGNED_IN, "Not signed in")),
    (InvalidGrant, _Kind(HTTPStatus.BAD_REQUEST, ProblemSlug.INVALID_GRANT, "Invalid grant")),
    (NotAllowed, _Kind(HTTPStatus.FORBIDDEN, ProblemSlug.NOT_ALLOWED, "Not allowed")),
    (NotFound, _Kind(HTTPStatus.NOT_FOUND, ProblemSlug.NOT_FOUND, "Not found")),
    (AlreadyTaken, _Kind(HTTPStatus.CONFLICT, ProblemSlug.ALREADY_TAKEN, "Already taken")),
    # Clients of tus repeat these two: after a while, and from the offset that they ask for.
    (Busy, _Kind(HTTPStatus.LOCKED, ProblemSlug.BUSY, "Busy")),
    (Fenced, _Kind(HTTPStatus.CONFLICT, ProblemSlug.FENCED, "Taken over")),
    (
        BeingChecked,
        _Kind(HTTPStatus.CONFLICT, ProblemSlug.BEING_CHECKED, "Being checked"),
    ),
    (Conflict, _Kind(HTTPStatus.CONFLICT, ProblemSlug.CONFLICT, "Conflict")),
    (TooLarge, _Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ProblemSlug.TOO_LARGE, "Too large")),
    (
        ChecksumMismatch,
        _Kind(CHECKSUM_MISMATCH, ProblemSlug.CHECKSUM_MISMATCH, "Checksum mismatch"),
    ),
    (
        # Not 507, which clients of tus repeat, as every 5xx.
        QuotaReached,
        _Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ProblemSlug.QUOTA_REACHED, "Quota reached"),
    ),
    (
        NotAccepted,
        _Kind(HTTPStatus.UNPROCESSABLE_ENTITY, ProblemSlug.NOT_ACCEPTED, "Not accepted"),
    ),
    (
        TooMany,
        _Kind(HTTPStatus.TOO_MANY_REQUESTS, ProblemSlug.TOO_MANY_REQUESTS, "Too many requests"),
    ),
    (
        OutcomeUnknown,
        _Kind(HTTPStatus.SERVICE_UNAVAILABLE, ProblemSlug.OUTCOME_UNKNOWN, "Outcome unknown"),
    ),
    (Overloaded, _Kind(HTTPStatus.SERVICE_UNAVAILABLE, ProblemSlug.OVERLOADED, "Overloaded")),
    (
        OutOfSpace,
        _Kind(HTTPStatus.INSUFFICIENT_STORAGE, ProblemSlug.OUT_OF_SPACE, "Out of space"),
    ),
    (Unavailable, _Kind(HTTPStatus.SERVICE_UNAVAILABLE, ProblemSlug.UNAVAILABLE, "Unavailable")),
)
_OF_FEW_ROUTES = (InvalidGrant, QuotaReached, TooLarge)
_INTERNAL = _Kind(HTTPStatus.INTERNAL_SERVER_ERROR, ProblemSlug.INTERNAL_ERROR, "Internal error")


class _ProblemResponse(Response):
    """A problem; its kind and reason are put into the scope for the layers outside."""

    media_type = MEDIA_TYPE

    def __init__(
        self, problem: Problem, slug: str, headers: Mapping[str, str], reason: str
    ) -> None:
        super().__init__(_encoder.encode(problem), problem.status, headers)
        self._slug = slug
        self._reason = reason

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SLUG], scope[REASON] = self._slug, self._reason
        await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Described:
    """An error as clients read it, and the headers of an answer with it."""

    problem: Problem
    slug: str
    headers: Mapping[str, str]


def describe(error: Exception, path: str, advice: str | None = None) -> Described:
    """Return what clients are told of an error. An unexpected one is logged, and is only a 500.

    `path` is the path of the request, without its query (which could hold personal data). `advice`
    is what to do when the outcome is unknown; see `http.outcomes`.
    """
    kind, headers = _kind_and_headers(error)
    problem = Problem(
        type=type_of(kind.slug),
        title=kind.title,
        status=kind.status,
        detail=str(error) if kind is not _INTERNAL else "an unexpected error; it has been logged",
        instance=path,
        request_id=current_request_id(),
    )
    if isinstance(error, InvalidInput):
        problem.errors = [ProblemField(e.pointer, e.detail) for e in error.errors]
        problem.detail = "the request breaks a rule; see errors"
    if isinstance(error, Unavailable):
        problem.message_id = error.message_id
        problem.change_id = error.change_id
        problem.detail = error.public or problem.detail
    if isinstance(error, OutcomeUnknown):
        advice = advice or (outcomes.MESSAGE if error.message_id else outcomes.ANY)
        what = f"it may or may not have been done; {advice}"
        problem.detail = what if error.public is None else f"{error.public}: {what}"
    if path == TOKEN_PATH:
        add_oauth_error(problem, error)
    if kind is _INTERNAL:
        _log.error("unexpected error", exc_info=error)
    elif isinstance(error, Unavailable):
        _log.warning("unavailable", extra={"path": path, "cause": str(error)})
    return Described(problem, kind.slug, headers)


def problem_response(error: Exception, path: str, advice: str | None = None) -> Response:
    """Return the answer to an error; see `describe`."""
    told = describe(error, path, advice)
    return _ProblemResponse(told.problem, told.slug, told.headers, _reason(error))


def _reason(error: Exception) -> str:
    """Return why, without what the client sent: of invalid fields the names that are ours."""
    if isinstance(error, InvalidInput):
        fields = ["/".join(e.pointer.split("/")[:2]) or "the body" for e in error.errors]
        return f"invalid: {', '.join(dict.fromkeys(fields))}"[:REASON_MAX]
    if isinstance(error, NotSignedIn | TooMany) and error.account is not None:
        return f"{error}: {error.account}"
    return str(error)[:REASON_MAX] if isinstance(error, Chat4AllError) else type(error).__name__


def _kind_and_headers(error: Exception) -> tuple[_Kind, dict[str, str]]:
    if isinstance(error, BadRequest):
        return _of_status(error.status), dict(error.headers)
    for kind_of_error, kind in _KINDS:
        if isinstance(error, kind_of_error):
            if isinstance(error, NotSignedIn):
                return kind, {"WWW-Authenticate": "Bearer"}
            if isinstance(error, BeingChecked | Busy | TooMany | Unavailable):
                return kind, {"Retry-After": str(max(1, ceil(error.retry_after)))}
            return kind, {}
    return _INTERNAL, {}


def kind_of_status(status: int) -> tuple[str, str]:
    """Return the type and title that a problem of this status usually has, for examples in docs."""
    for error, kind in reversed(_KINDS):
        if kind.status == status and error not in _OF_FEW_ROUTES:
            return type_of(kind.slug), kind.title
    kind = _of_status(HTTPStatus(status))
    return type_of(kind.slug), kind.title


@cache
def problem_routes() -> APIRouter:
    """Return `/problems/{kind}`, which describes the `type` of a problem."""
    router = APIRouter(include_in_schema=False)
    texts = {kind.slug: inspect.getdoc(error) or "" for error, kind in _KINDS}
    texts |= {_of_status(status).slug: status.description for status in _DETAILS}
    texts[_INTERNAL.slug] = "Something unexpected. It has been logged under the request id."

    @router.get("/problems/{slug}")
    async def explain(slug: str) -> PlainTextResponse:
        if slug not in texts:
            raise NotFound("no such kind of problem")
        return PlainTextResponse(texts[slug] + "\n")

    return router


def _of_status(status: HTTPStatus) -> _Kind:
    return _Kind(status, re.sub("[^a-z]+", "-", status.phrase.lower()), status.phrase)


def install_problems(app: FastAPI, routes: Sequence[BaseRoute] = ()) -> None:
    """Answer every error that leaves an endpoint of `app`, which has these routes, as a problem."""
    explaining = problem_routes()
    app.router.routes.extend(explaining.routes)
    routes = [*routes, *explaining.routes]

    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, (RequestValidationError, HTTPException)):
            _drop_tracebacks(error)
        match error:
            case RequestValidationError():
                error = _from_validation(error)
            case ClientDisconnect():
                return _NoResponse()
            case HTTPException():
                status = HTTPStatus(error.status_code)
                detail = error.detail if error.detail != status.phrase else _DETAILS.get(status, "")
                headers = dict(error.headers or {})
                if status is HTTPStatus.METHOD_NOT_ALLOWED:
                    # The router knows those of the first route only.
                    headers["Allow"] = allowed(routes, request.scope)
                error = BadRequest(status, detail or status.description, headers)
        return problem_response(error, request.url.path, outcomes.advice_of(request.scope))

    for kind in (
        Chat4AllError,
        RequestValidationError,
        HTTPException,
        ClientDisconnect,
        Exception,
    ):
        app.add_exception_handler(kind, answer)


class _NoResponse(Response):
    """Sends nothing, to a client that has disconnected; metrics do not count it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


def _drop_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an error and of its causes.

    FastAPI's frames and the error refer to each other: they would keep the request's body in
    memory until the cycle collector runs, which is seldom.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__


_DETAILS = {
    HTTPStatus.NOT_FOUND: "no such route",
    HTTPStatus.METHOD_NOT_ALLOWED: "this route has other methods; see Allow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than 64 KiB",
    HTTPStatus.BAD_REQUEST: "the body could not be read",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "send JSON",
    HTTPStatus.REQUEST_TIMEOUT: "the request did not arrive in time",
    HTTPStatus.REQUEST_URI_TOO_LONG: "the request line is too long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the headers are too large",
    HTTPStatus.TOO_MANY_REQUESTS: "wait for answers",
    HTTPStatus.PRECONDITION_FAILED: "a condition in the headers does not hold",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "the range begins after the end",
    HTTPStatus.NOT_IMPLEMENTED: "this installation does not have it",
    HTTPStatus.UPGRADE_REQUIRED: "this route speaks the WebSocket protocol, version 13",
}


_OF_VALUE = 3
"""Parts of the place of a value of an object: `body`, the field, the key."""


def _from_validation(error: RequestValidationError) -> Chat4AllError:
    """Name the broken rules without the values, which Pydantic's errors contain."""
    errors: Sequence[Mapping[str, Any]] = error.errors()
    if any(e["type"] == "json_invalid" for e in errors):
        return BadRequest(HTTPStatus.BAD_REQUEST, "the body is not JSON")
    return InvalidInput([_field_error(e["loc"], str(e["msg"])) for e in errors])


def _field_error(location: Sequence[str | int], what: str) -> FieldError:
    # A rule of ours; pydantic puts its own words before it.
    what = what.removeprefix("Value error, ")
    # Pydantic's mark of a key that is broken, in the place of a member of its value.
    if location[0] == "body" and len(location) > _OF_VALUE and location[-1] == "[key]":
        return FieldError(_pointer(location[:-1]), f"the key: {what}")
    return FieldError(_pointer(location), what)


def _pointer(location: Sequence[str | int]) -> str:
    """Return a JSON Pointer into the body; for parameters, their place and name."""
    parts = location[1:] if location and location[0] == "body" else location
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in parts)
