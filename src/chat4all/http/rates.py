"""The table of limits: what each route counts against.

Every route that writes is in it, and those that read much. One that is missing and writes counts
as a change; a test finds it (`tests/api/test_route_rates.py`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.types import Scope

from chat4all.domain.people import Session
from chat4all.http.limits import Limits

_READ = frozenset({"GET", "HEAD", "OPTIONS"})
_CONVERSATION = "/v1/conversations/{conversation_id}"
_MEMBER = _CONVERSATION + "/members/{username}"
_MESSAGE = _CONVERSATION + "/messages/{message_id}"
_FILE = "/v1/files/{file_id}"

BY_ROUTE: Mapping[str, str] = MappingProxyType(
    {
        # These take from their limits themselves: nobody is signed in yet, or the route is
        # answered before FastAPI.
        "POST /token": "sign_in_address",
        "POST /v1/users": "sign_up",
        "POST /v1/messages": "send",
        "POST /v1/files": "upload",
        "POST /v1/files/initiate": "upload",
        f"GET {_FILE}/parts": "upload",
        f"POST {_FILE}/complete": "upload",
        f"PATCH {_FILE}": "upload",
        f"DELETE {_FILE}": "upload",
        f"GET {_FILE}": "download",
        f"GET {_FILE}/thumbnail": "download",
        # By session, so that who has stolen one cannot keep its owner from ending it.
        "POST /v1/logout": "account",
        "DELETE /v1/sessions/{session_id}": "account",
        "PATCH /v1/users/{username}": "account",
        "DELETE /v1/users/{username}": "account",
        "POST /v1/conversations": "start",
        f"PATCH {_CONVERSATION}": "change",
        f"DELETE {_CONVERSATION}": "change",
        f"POST {_CONVERSATION}/members": "change",
        f"PATCH {_MEMBER}": "change",
        f"DELETE {_MEMBER}": "change",
        f"PATCH {_MESSAGE}": "send",
        f"DELETE {_MESSAGE}": "send",
        f"PUT {_MESSAGE}/reactions/{{emoji}}": "send",
        f"DELETE {_MESSAGE}/reactions/{{emoji}}": "send",
        f"POST {_CONVERSATION}/read": "mark",
        f"POST {_FILE}/link": "download",
        "GET /v1/users": "find",
        "GET /v1/sessions": "list",
        "GET /v1/conversations": "list",
        "GET /v1/files": "list",
        f"GET {_CONVERSATION}": "list",
        f"GET {_CONVERSATION}/members": "list",
        f"GET {_CONVERSATION}/receipts": "list",
        f"GET {_MESSAGE}/edits": "list",
        f"GET {_MESSAGE}/reactions": "list",
    }
)
"""For each route the field of `Limits` that it counts against."""


def limit_name(method: str, path: str) -> str | None:
    """Return the field of `Limits` that a route counts against; None: not limited."""
    named = BY_ROUTE.get(f"{'GET' if method == 'HEAD' else method} {path}")
    return named or (None if method in _READ else "change")


class RouteRates:
    """Counts requests of signed-in callers."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def take(self, scope: Scope, session: Session) -> None:
        """Count a request that FastAPI has found a route for. Raises `TooMany`."""
        name = limit_name(scope["method"], scope["route"].path)
        if name is not None:
            key = session.session_id if name == "account" else session.username
            getattr(self._limits, name).take(scope, key)
