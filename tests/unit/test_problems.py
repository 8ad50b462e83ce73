"""Errors about files: their statuses decide what clients of tus repeat."""

from http import HTTPStatus

import pytest

from chat4all.domain.errors import Busy, Chat4AllError, Fenced, OutOfSpace, QuotaReached
from chat4all.http.openapi import problems
from chat4all.http.problems import describe, kind_of_status


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Busy("x"), HTTPStatus.LOCKED, "busy"),
        (Fenced("x"), HTTPStatus.CONFLICT, "fenced"),
        (QuotaReached("x"), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "quota-reached"),
        (OutOfSpace("the disk", "x"), HTTPStatus.INSUFFICIENT_STORAGE, "out-of-space"),
    ],
)
def test_each_has_a_status_and_a_kind_of_its_own(
    error: Chat4AllError, status: HTTPStatus, kind: str
) -> None:
    told = describe(error, "/v1/files")
    assert (told.problem.status, told.problem.type, told.problem.detail) == (
        status,
        f"/problems/{kind}",
        "x",
    )
    passes = status == HTTPStatus.LOCKED or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    assert ("Retry-After" in told.headers) == passes


def test_what_is_busy_is_asked_again_after_a_while() -> None:
    """Fails when clients ask without a break while an upload is being finished."""
    assert describe(Busy("x"), "/v1/files").headers == {"Retry-After": "3"}
    assert "Retry-After" in problems(423)[423]["headers"]


def test_the_usual_problem_of_a_status_is_not_one_of_few_routes() -> None:
    """The examples in `/docs` of every route that takes a body."""
    assert kind_of_status(413)[0] == "/problems/request-entity-too-large"
    assert kind_of_status(409)[0] == "/problems/conflict"
    assert kind_of_status(400)[0] == "/problems/bad-request"
