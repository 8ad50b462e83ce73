"""The headers of every answer, CORS, and the content security policy of /docs."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import CHAT, Api, running

pytestmark = pytest.mark.anyio

ORIGIN = "https://chat.example.com"
TUS = {
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
}
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


def check_secured(answer: httpx.Response, *, site: str = "same-origin") -> None:
    wanted = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": site,
    }
    for name, value in wanted.items():
        assert answer.headers.get_list(name) == [value], (name, answer.request.url)
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert len(answer.headers.get_list("cache-control")) <= 1
    assert len(answer.headers.get_list("x-request-id")) == 1
    assert "server" not in answer.headers


async def described(api: Api) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = []
    for client in (api.gateway, api.metadata):
        for path, operations in (await client.get("/openapi.json")).json()["paths"].items():
            found.extend((method.upper(), path, client is api.gateway) for method in operations)
    return found


@pytest.mark.thorough
async def test_every_route_has_security_headers(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    operations = await described(api)
    assert ("POST", "/v1/messages", True) in operations
    assert len(operations) > 15
    statuses = set()
    for method, template, of_gateway in operations:
        path = re.sub("{[a-z_]+}", CHAT, template)
        client = api.gateway if of_gateway else api.metadata
        for headers in ({}, bruno) if path != "/v1/logout" else ({},):
            bodies: list[Any] = [{}, {"chat_id": CHAT, "content": "x", "seq": 0}]
            for body in bodies if method == "POST" else [None]:
                answer = await client.request(method, path, headers=headers, json=body)
                statuses.add(answer.status_code)
                check_secured(answer)
                assert answer.headers["content-security-policy"] == API_POLICY, path
                assert answer.headers["cache-control"] == "no-store", path
                assert "strict-transport-security" not in answer.headers
    assert {200, 202, 401, 404, 422} <= statuses


async def test_unknown_paths_have_security_headers(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = await api.sign_in("bruno")
    for method, path in [("GET", "/nowhere"), ("PUT", "/v1/messages"), ("GET", "/token")]:
        answer = await api.gateway.request(method, path)
        assert answer.status_code in (404, 405)
        check_secured(answer)

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(api.parts.store, "page", broken)
    transport = httpx.ASGITransport(api.parts.gateway, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.get(f"/v1/conversations/{CHAT}/messages", headers=bruno)
    assert answer.status_code == 500
    check_secured(answer)


async def test_public_answers_may_be_cached(api: Api) -> None:
    for path in ("/openapi.json", "/problems/not-found", "/static-offline-docs/swagger-ui.css"):
        answer = await api.gateway.get(path)
        assert answer.status_code == 200
        check_secured(answer)
        assert "cache-control" not in answer.headers


async def test_docs_may_run_their_own_scripts_and_nothing_else(api: Api) -> None:
    for client in (api.gateway, api.metadata):
        answer = await client.get("/docs")
        check_secured(answer)
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        allowed = policy["script-src"].split()
        assert "'unsafe-inline'" not in allowed
        assert "'unsafe-eval'" not in allowed
        # What a browser does: a script of this place, or one whose hash is named.
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", answer.text, re.DOTALL)
        assert len(scripts) == 2
        for attributes, text in scripts:
            if source := re.search(r'src="([^"]+)"', attributes):
                assert source[1].startswith("/")
                assert "'self'" in allowed
            else:
                digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                assert f"'sha256-{digest}'" in allowed
        assert not re.search(r"<style|\son[a-z]+=", answer.text)
        assert "/openapi.json" in answer.text
        assert policy["connect-src"] == "'self'"


@pytest.fixture
async def open_to_one(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path / "data", cors_origins=(ORIGIN,)) as found:
        yield found


def preflight(origin: str = ORIGIN) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }


async def test_other_origins_are_refused_by_default(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for path in ("/v1/messages", "/token", "/v1/users"):
        answer = await api.gateway.options(path, headers=preflight())
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]
    answer = await api.gateway.post(
        "/v1/messages", json={"chat_id": CHAT, "content": "x"}, headers=bruno | {"Origin": ORIGIN}
    )
    assert answer.status_code == 202
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/v1/messages", "/token", f"/v1/conversations/{CHAT}/read"])
async def test_an_allowed_origin_passes_the_preflight(open_to_one: Api, path: str) -> None:
    api = open_to_one
    for client in (api.gateway, api.metadata):
        answer = await client.options(path, headers=preflight())
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        check_secured(answer, site="cross-origin")
        answer = await client.options(path, headers=preflight("https://evil.example.com"))
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers


async def test_an_allowed_origin_may_read_answers(open_to_one: Api) -> None:
    api = open_to_one
    bruno = await api.sign_in("bruno")
    for headers, status in ((bruno, 202), ({}, 401)):
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example.com", None)):
            answer = await api.gateway.post(
                "/v1/messages",
                json={"chat_id": CHAT, "content": "x"},
                headers=headers | {"Origin": origin},
            )
            assert answer.status_code == status
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert answer.headers["vary"] == "Origin" or allowed is None
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert set(exposed) == {
                *TUS,
                "Accept-Ranges",
                "Chat4All-Position",
                "Content-Disposition",
                "Content-Range",
                "ETag",
                "Link",
                "Location",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Request-Id",
            }
            check_secured(answer, site="cross-origin")


async def test_a_star_allows_every_origin(tmp_path: Path) -> None:
    async with running(tmp_path / "data", cors_origins="*") as api:
        answer = await api.gateway.get("/health", headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == "*"
        answer = await api.gateway.options("/v1/messages", headers=preflight())
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("peer", "proto", "strict"),
    [("10.0.0.1", "https", True), ("10.0.0.1", "http", False), ("192.0.2.1", "https", False)],
)
async def test_strict_transport_behind_a_trusted_proxy(
    tmp_path: Path, peer: str, proto: str, strict: bool
) -> None:
    async with running(tmp_path / "data", trusted_proxies="10.0.0.1") as api:
        transport = httpx.ASGITransport(api.parts.gateway, client=(peer, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            for path in ("/health", "/docs", "/v1/messages"):
                answer = await client.get(path, headers={"X-Forwarded-Proto": proto})
                found = answer.headers.get("strict-transport-security")
                assert (found is not None) == strict
