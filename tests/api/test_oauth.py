"""What OAuth libraries read in the refusals of `/token` (RFC 6749, section 5.2)."""

import re

import httpx
import pytest

from chat4all.domain.errors import Unavailable
from chat4all.usecases.signing_in import SigningIn
from tests.api.conftest import Api

pytestmark = pytest.mark.anyio

DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
GONE = "A" * 22 + "." + "B" * 43
PASSWORD = {"username": "bruno", "password": "wrong"}


def check(answer: httpx.Response, status: int, error: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["error"] == error
    assert DESCRIPTION.fullmatch(body["error_description"])
    assert body["status"] == status
    assert body["type"].startswith("/problems/")
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        (PASSWORD, 401, "invalid_grant"),
        (PASSWORD | {"grant_type": "password"}, 401, "invalid_grant"),
        (PASSWORD | {"username": "nobody"}, 401, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": GONE}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "\u00e9"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 422, "invalid_request"),
        ({"username": "bruno"}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
        ({"grant_type": "client_credentials"}, 422, "unsupported_grant_type"),
        (PASSWORD | {"grant_type": '"\\'}, 422, "unsupported_grant_type"),
    ],
)
async def test_a_refused_grant(api: Api, form: dict[str, str], status: int, error: str) -> None:
    check(await api.gateway.post("/token", data=form), status, error)


async def test_refusals_of_other_layers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    check(await api.gateway.post("/token", content=b"x" * 70_000), 413, "invalid_request")
    for _ in range(10):
        await api.gateway.post("/token", data=PASSWORD)
    check(await api.gateway.post("/token", data=PASSWORD), 429, "temporarily_unavailable")

    async def unavailable(*_: object, **__: object) -> None:
        raise Unavailable("not there", "the directory does not answer")

    monkeypatch.setattr(SigningIn, "refresh", unavailable)
    form = {"grant_type": "refresh_token", "refresh_token": GONE}
    check(await api.gateway.post("/token", data=form), 503, "temporarily_unavailable")


async def test_only_the_token_endpoint_has_these_fields(api: Api) -> None:
    for answer in (
        await api.gateway.get("/v1/me"),
        await api.gateway.get("/nowhere"),
        await api.metadata.post("/v1/users", json={}),
    ):
        assert {"error", "error_description"}.isdisjoint(answer.json())


async def test_its_description_is_its_own(api: Api) -> None:
    described = (await api.gateway.get("/openapi.json")).json()
    paths = described["paths"]
    responses = paths["/token"]["post"]["responses"]
    assert responses["400"]["description"].startswith("The refresh token")
    named = paths["/v1/users"]["post"]["responses"]["400"]["$ref"]
    other = described["components"]["responses"][named.rpartition("/")[2]]
    assert other["content"]["application/problem+json"]["example"]["type"] == (
        "/problems/bad-request"
    )
