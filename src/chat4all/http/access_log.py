"""The access log: who was refused what, and why; in a flood, how many more there were."""

import asyncio
import logging
import time
from collections import Counter
from http import HTTPStatus
from typing import Any

from starlette.types import Scope

from chat4all.domain.errors import TooMany
from chat4all.http.limits import Clock, Limit, client_of
from chat4all.http.problems import REASON, SLUG

CALLER = "chat4all.caller"
"""The scope's key for whoever asks, once that is known: a `Session`, or an `Actor`."""

LINES = (200, 4)
"""Lines at once, and in how many seconds as many more: 50 a second, of refusals and of failures
each. A line costs more than most refusals."""

SAID_AFTER_SECONDS = 5.0
"""When the number of requests that were not logged is."""

PATH_MAX = 256
"""Characters of a path. Ours are shorter."""

_SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR

_ENDED = frozenset({1000, 1001, 1005, 1006, 1012})
"""Codes that a WebSocket is closed with in the course of things."""

_FAILED = 1011

_log = logging.getLogger("chat4all.access")


class AccessLog:
    """Logs answers: refusals and failures within `LINES`, all others only at level DEBUG."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._lines = Limit("log", *LINES, clock=clock)
        self._left_out: Counter[int] = Counter()

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Log a request whose answer begins, `seconds` after it came in."""
        if status < HTTPStatus.BAD_REQUEST:
            if _log.isEnabledFor(logging.DEBUG):
                _log.debug("request", extra=_fields(scope, seconds, status=status))
        elif (level := self._level(status, is_failure=status >= _SERVER_ERROR)) is not None:
            reason = scope.get(REASON) or HTTPStatus(status).phrase
            fields = {"problem": scope.get(SLUG), "reason": reason}
            _log.log(level, "request", extra=_fields(scope, seconds, status=status) | fields)

    def closed(
        self, scope: Scope, code: int, reason: str, seconds: float, *, by_client: bool = False
    ) -> None:
        """Log a WebSocket that was open for so many seconds, and how it was closed."""
        if by_client or code in _ENDED:
            if _log.isEnabledFor(logging.DEBUG):
                _log.debug("socket", extra=_fields(scope, seconds, code=code))
        elif (level := self._level(code, is_failure=code == _FAILED)) is not None:
            _log.log(level, "socket", extra=_fields(scope, seconds, code=code) | {"reason": reason})

    def _level(self, status: int, *, is_failure: bool) -> int | None:
        """Return the level of a refusal or a failure; None when it is not logged."""
        level = logging.WARNING if is_failure else logging.INFO
        if not _log.isEnabledFor(level):
            return None
        try:
            self._lines.take({}, "failures" if is_failure else "refusals")
        except TooMany:
            self._leave_out(status)
            return None
        return level

    def _leave_out(self, status: int) -> None:
        if not self._left_out:
            asyncio.get_running_loop().call_later(SAID_AFTER_SECONDS, self._say)
        self._left_out[status] += 1

    def _say(self) -> None:
        counts = {str(status): count for status, count in sorted(self._left_out.items())}
        self._left_out.clear()
        _log.warning("requests were not logged: there were too many", extra={"statuses": counts})


def _fields(scope: Scope, seconds: float, **outcome: int) -> dict[str, Any]:
    caller = scope.get(CALLER)
    return {
        "method": scope["method"],
        "path": scope["path"][:PATH_MAX],
        **outcome,
        "milliseconds": round(seconds * 1000, 1),
        "client": client_of(scope),
        "user": caller and caller.username,
        "session": caller and caller.session_id,
    }
