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


SIGNED_IN = "username=zoe&password=contrase\u00f1a+larga"
FORM = "application/x-www-form-urlencoded"


def multipart(*fields: tuple[str, bytes]) -> tuple[bytes, str]:
    """Return a form with these fields, and its content type."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in fields
    ]
    return b"".join([*parts, b"--b--\r\n"]), "multipart/form-data; boundary=b"


NAME, SECRET = ("username", b"zoe"), ("password", "contrase\u00f1a larga".encode())


async def test_a_form_is_read_in_utf_8_however_it_is_encoded(api: Api) -> None:
    new = {"username": "zoe", "email": "zoe@example.com", "password": "contrase\u00f1a larga"}
    assert (await api.metadata.post("/v1/users", json=new)).status_code == 201
    for content, kind in [
        (SIGNED_IN.encode(), FORM),  # as `curl -d` sends it
        (SIGNED_IN.replace("\u00f1", "%C3%B1").encode(), FORM),
        (SIGNED_IN.encode(), FORM.title() + '; Charset="UTF-8"'),
        (b"&" + SIGNED_IN.encode() + b"&&scope=", FORM),
        multipart(NAME, SECRET),
    ]:
        answer = await api.gateway.post("/token", content=content, headers={"Content-Type": kind})
        assert answer.status_code == 200, (content, kind, answer.text)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (SIGNED_IN.encode("latin-1"), FORM, 400),
        (SIGNED_IN.replace("\u00f1", "%F1").encode(), FORM, 400),
        (*multipart(NAME, ("password", b"contrase\xf1a larga")), 400),
        (b"username=bruno&username=ana&password=test", FORM, 400),
        (b"username=bruno&password=test&username=", FORM, 400),
        (*multipart(("username", b"ana"), ("username", b"bruno"), ("password", b"test")), 400),
        (b"username=bruno&password=test", FORM + "; charset=iso-8859-1", 415),
        (b'{"username": "bruno", "password": "test"}', "application/json", 415),
    ],
)
async def test_a_form_that_is_ambiguous(api: Api, content: bytes, kind: str, status: int) -> None:
    answer = await api.gateway.post("/token", content=content, headers={"Content-Type": kind})
    check(answer, status, "invalid_request")


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
    assert "UTF-8" in responses["400"]["description"]
    assert "415" in responses
    named = paths["/v1/users"]["post"]["responses"]["400"]["$ref"]
    other = described["components"]["responses"][named.rpartition("/")[2]]
    assert other["content"]["application/problem+json"]["example"]["type"] == (
        "/problems/bad-request"
    )
