"""`/asyncapi.json` and `/docs/live`: what is served, and how."""

import base64
import hashlib
import json
import re

import pytest

from tests.api.conftest import Api

pytestmark = pytest.mark.anyio


async def test_the_description_is_served_as_that_of_the_routes_is(api: Api) -> None:
    live = await api.gateway.get("/asyncapi.json")
    routes = await api.gateway.get("/openapi.json")
    assert (live.status_code, live.json()["asyncapi"]) == (200, "3.0.0")
    own = {"content-length", "x-request-id"}
    assert {name: value for name, value in live.headers.items() if name not in own} == {
        name: value for name, value in routes.headers.items() if name not in own
    }
    # A metadata service has no sockets.
    assert (await api.metadata.get("/asyncapi.json")).status_code == 404


async def test_the_page_shows_every_frame_without_script(api: Api) -> None:
    page = await api.gateway.get("/docs/live")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    described = (await api.gateway.get("/asyncapi.json")).json()
    assert "<script" not in page.text
    for name, message in described["components"]["messages"].items():
        assert f'<h3 id="{name}"><code>{message["name"]}</code>' in page.text
    for one in described["channels"]["live"]["x-close-codes"]:
        assert f"<td>{one['code']}</td>" in page.text
    ids = set(re.findall(r"id=['\"]([^'\"]+)['\"]", page.text))
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert {link for link in links if not link.startswith("#")} == {"/asyncapi.json", "/docs"}
    assert {link[1:] for link in links if link.startswith("#")} <= ids


async def test_the_page_may_have_its_own_style_and_nothing_else(api: Api) -> None:
    page = await api.gateway.get("/docs/live")
    (style,) = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert page.headers.get_list("content-security-policy") == [
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ]
    assert " style=" not in page.text


async def test_the_page_is_found_from_the_other(api: Api) -> None:
    description = (await api.gateway.get("/openapi.json")).json()["info"]["description"]
    assert "(/docs/live)" in description
    assert json.dumps(description).count("/asyncapi.json") == 1
