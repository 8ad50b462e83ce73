"""What clients write, by requests and by frames alike, and what a scenario answers."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.conformance.data import Json
from tests.conformance.record import Attempt, Record

SLACK = 0.9
"""Clocks of two processes do not agree to the last bit."""

CHANGES = ("edit", "delete", "react", "unreact")

PROBLEMS = {
    400: "invalid-grant",
    401: "not-signed-in",
    403: "not-allowed",
    404: "not-found",
    409: "conflict",
    422: "invalid-input",
    429: "too-many-requests",
    500: "internal-error",
    503: "unavailable",
}


@dataclass(frozen=True)
class Answer:
    """To a request or a frame."""

    status: int
    body: Any = None
    retry_after: int | None = None


LOST: Answer | None = None
"""No answer: the connection ends after the request was read."""


def problem(status: int, *, retry_after: int | None = None, **others: Any) -> Answer:
    """Return a refusal or failure."""
    slug = PROBLEMS[status]
    body = {
        "type": f"/problems/{slug}",
        "title": slug,
        "status": status,
        "detail": f"the scenario answers {status}",
        "instance": "/",
        "request_id": "1",
        **others,
    }
    return Answer(status, body, retry_after)


class Rules:
    """What a scenario says about calls: for each kind a list, used in order, then none."""

    def __init__(self, described: Json, record: Record) -> None:
        self._left: dict[str, list[Json]] = {kind: list(r) for kind, r in described.items()}
        self._record = record

    async def next(self, kind: str) -> Json:
        """Return the rule of the next call of this kind, after holding it as long as it says."""
        self._record.count(kind)
        waiting = self._left.get(kind, [])
        rule: Json = waiting.pop(0) if waiting else {}
        for held, count in rule.get("hold", {}).items():
            await self._record.until(lambda: self._record.counts.get(held, 0) >= count)  # noqa: B023
        return rule

    def unused(self) -> list[str]:
        """Return the kinds of calls that the scenario waited for in vain."""
        return [kind for kind, left in self._left.items() if left]


class Writes:
    """Takes writes, by whichever way they come."""

    def __init__(self, rules: Rules, record: Record, pace: float) -> None:
        self._rules = rules
        self._record = record
        self._pace = pace
        self._not_before: dict[str, float] = {}
        """By id: when it may be tried again."""

    async def take(self, kind: str, identifier: str | None, fields: Json) -> Answer | None:
        """Return the answer to one try."""
        attempt = Attempt(kind, identifier, fields)
        self._record.attempts.append(attempt)
        self._record.tell(f"write: {kind} {identifier} {fields.get('content', '')}")
        if identifier is not None and attempt.at < self._not_before.get(identifier, 0.0):
            self._record.fault(f"a {kind} was tried again before its Retry-After")
        rule = await self._rules.next(kind)
        name = "message_id" if kind == "send" else "change_id"
        identifier = identifier or str(uuid4())
        if rule.get("lose"):
            return LOST
        if status := rule.get("answer"):
            retry_after = rule.get("retry_after")
            if retry_after is not None:
                self._not_before[identifier] = attempt.at + SLACK * retry_after * self._pace
            return problem(status, retry_after=retry_after, **{name: identifier})
        if kind == "read":
            return Answer(202)
        return Answer(202, {"status": "accepted", name: identifier})
