"""HEAD, 405, slashes at the end and broken JSON: every route answers them as every other does.

The routes are those of the descriptions, so that a new one cannot be missed.
"""

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from chat4all import __version__
from chat4all.adapters.prometheus import ServiceMetrics
from chat4all.processes.apps import make_router_service
from chat4all.processes.parts import Pings, RouterServicePorts
from chat4all.usecases.delivered import Delivered
from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio

CHANGING = {"date", "x-request-id", "content-length", "ratelimit"}
"""Of two answers to one question these may differ; a length where times are in the body."""


@dataclass
class Service:
    """A service, the methods of each of its paths, and the paths of bodies in JSON."""

    name: str
    client: httpx.AsyncClient
    methods: Mapping[str, set[str]]
    takes_json: list[tuple[str, str]]


def concrete(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: "bruno" if name[1] == "username" else CHAT, template)


@asynccontextmanager
async def router() -> AsyncIterator[httpx.AsyncClient]:
    async def no_metrics() -> bytes:
        return b""

    ports = RouterServicePorts(Pings(), ServiceMetrics(__version__, "x"), no_metrics)
    transport = httpx.ASGITransport(make_router_service(ports))
    async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
        yield client


@pytest.fixture
async def services(api: Api) -> AsyncIterator[list[Service]]:
    async with router() as routers:
        found = []
        for name, client in (
            ("gateway", api.gateway),
            ("metadata", api.metadata),
            ("router", routers),
        ):
            methods: dict[str, set[str]] = defaultdict(set)
            takes_json = []
            described = (await client.get("/openapi.json")).json()["paths"]
            for template, operations in described.items():
                for method, operation in operations.items():
                    methods[template].add(method.upper())
                    body = operation.get("requestBody", {}).get("content", {})
                    if "application/json" in body:
                        takes_json.append((method.upper(), template))
            for undescribed in ("/docs", "/openapi.json", "/problems/not-found", "/"):
                if (await client.get(undescribed)).status_code != 404:
                    methods[undescribed] = {"GET"}
            found.append(Service(name, client, methods, takes_json))
        assert len(found[0].methods) > len(found[1].methods) > len(found[2].methods) > 3
        yield found


@pytest.mark.thorough
async def test_head_is_the_head_of_get(api: Api, services: list[Service]) -> None:
    bruno = await api.sign_in("bruno")
    asked = 0
    for service in services:
        for template, methods in service.methods.items():
            if "GET" not in methods:
                continue
            for headers in (bruno, {}):
                path = concrete(template)
                whole = await service.client.get(path, headers=headers)
                head = await service.client.head(path, headers=headers)
                where = (service.name, path, whole.status_code)
                assert head.status_code == whole.status_code, where
                assert head.content == b"", where
                assert set(head.headers) == set(whole.headers), where
                for name in set(whole.headers) - CHANGING:
                    assert head.headers[name] == whole.headers[name], (where, name)
                asked += 1
    assert asked > 40


@pytest.mark.parametrize("query", ["?limit=50", "?limit=50&_=1"], ids=["fast", "FastAPI's"])
async def test_the_head_of_a_page_delivers_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    noted = []
    monkeypatch.setattr(Delivered, "note", lambda _self, *note: noted.append(note))
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    await api.send(bruno)
    await api.routed()
    path = f"/v1/conversations/{CHAT}/messages{query}"
    assert (await api.gateway.head(path, headers=ana)).status_code == 200
    assert noted == []
    assert (await api.gateway.get(path, headers=ana)).status_code == 200
    assert noted == [(CHAT, "ana", 1)]


@pytest.mark.thorough
async def test_405_names_every_method_of_the_path(api: Api, services: list[Service]) -> None:
    bruno = await api.sign_in("bruno")
    for service in services:
        for template, methods in service.methods.items():
            named = methods | ({"HEAD"} if "GET" in methods else set())
            for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - named:
                answer = await service.client.request(method, concrete(template), headers=bruno)
                where = (service.name, method, template)
                assert answer.status_code == 405, where
                assert set(answer.headers["Allow"].split(", ")) == named, where
        files = await service.client.post("/static-offline-docs/favicon.png")
        if service.name != "router":
            assert (files.status_code, files.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.thorough
async def test_a_slash_at_the_end_leads_nowhere(api: Api, services: list[Service]) -> None:
    forged = await api.sign_in("bruno") | {"Host": "elsewhere.example"}
    for service in services:
        for template, methods in service.methods.items():
            if template == "/":
                continue
            for method in methods:
                path = concrete(template) + "/"
                answer = await service.client.request(method, path, headers=forged)
                where = (service.name, method, path)
                assert answer.status_code == 404, where
                assert "Location" not in answer.headers, where
                assert "elsewhere" not in answer.text, where


async def test_requests_are_counted_and_logged_with_the_method_that_was_asked(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "chat4all.access")
    await api.gateway.head("/v1/me")
    assert [vars(record)["method"] for record in caplog.records if record.msg == "request"] == [
        "HEAD"
    ]
    metrics = (await api.gateway.get("/metrics")).text
    assert re.search(r'\{method="HEAD",route="/v1/me",status="401"\} 1', metrics)


DEEP = 64
BROKEN: list[tuple[bytes, int]] = [
    (b"", 400),
    (b" ", 400),
    (b"{", 400),
    (b"{} {}", 400),
    (b"\xef\xbb\xbf{}", 400),  # a byte order mark
    (b"\xff\xfe{\0}\0", 400),
    (b'{"x": NaN}', 400),
    (b'{"x": Infinity}', 400),
    (b'{"x": -Infinity}', 400),
    (b'{"x": 01}', 400),
    (b'{"x": "\xff"}', 400),
    (b'{"x": "\xed\xa0\x80"}', 400),
    (b'{"x": "\\ud800"}', 400),
    (b'{"x": "\x01"}', 400),
    (b"{'x': 1}", 400),
    (b'{"x": 1,}', 400),
    (b"[" * DEEP + b"]" * DEEP, 422),
    (b"[" * (DEEP + 1) + b"]" * (DEEP + 1), 400),
    (b'{"x":' * DEEP + b"1" + b"}" * DEEP, 422),
    (b'{"x":' * (DEEP + 1) + b"1" + b"}" * (DEEP + 1), 400),
    (b"[" * 60_000, 400),
    (b'"' + b'\\"' * 30_000, 400),
    # Large numbers, and brackets that are text, are no fault of an unknown field.
    (b'{"x": 1e999}', 422),
    (b'{"x": ' + b"9" * 5_000 + b"}", 422),
    (b'{"x": "' + b"[" * 1_000 + b'\\""}', 422),
    (b"null", 422),
    (b"[]", 422),
    (b"1", 422),
]


@pytest.mark.thorough
async def test_one_reader_reads_the_json_of_every_route(api: Api, services: list[Service]) -> None:
    bruno = await api.sign_in("bruno") | {"Content-Type": "application/json"}
    operations = {operation: one for one in services for operation in one.takes_json}
    assert len(operations) >= 7
    for body, status in BROKEN:
        answers = set()
        for (method, template), service in operations.items():
            path = concrete(template)
            answer = await service.client.request(method, path, content=body, headers=bruno)
            if status == 422 and method == "PATCH" and answer.status_code != 400:
                continue  # all its fields may be left out
            assert answer.status_code == status, (service.name, method, path, body[:20])
            answers.add(answer.json()["detail"])
        assert len(answers) == 1, (body[:20], answers)


async def test_of_two_equal_keys_the_last_one_counts(api: Api) -> None:
    bruno = await api.sign_in("bruno") | {"Content-Type": "application/json"}
    message = f'{{"chat_id": "{CHAT}", "content": "y", "content": "x"}}'
    sent = await api.gateway.post("/v1/messages", content=message, headers=bruno)
    assert sent.status_code == 202
    group = '{"type": "group", "members": ["ana"], "title": "y", "title": "x"}'
    made = await api.gateway.post("/v1/conversations", content=group, headers=bruno)
    assert made.json()["title"] == "x"


@pytest.mark.parametrize(
    ("path", "body", "pointers"),
    [
        (
            "/v1/users",
            {"username": "C", "email": "nobody", "password": "x"},
            {"/username", "/email", "/password"},
        ),
        (
            "/v1/conversations",
            {"type": "x", "title": "\n", "members": ["a" * 33], "metadata": {"k": "\0", "\t": "x"}},
            {"/type", "/title", "/members/0", "/metadata/k", "/metadata/\t"},
        ),
        (
            "/v1/conversations",
            {"type": "private", "title": "x", "members": ["ana", "carla"]},
            {"/title", "/members"},
        ),
        (
            "/v1/conversations",
            {"type": "private", "title": "\n", "members": []},
            {"/title", "/members"},
        ),
        (
            "/v1/conversations",
            {"type": "private", "title": "x", "members": ["ana"], "metadata": {"k": "\0"}},
            {"/title", "/metadata/k"},
        ),
        (
            "/v1/conversations",
            {"type": "private", "members": ["ana", "bruno"], "metadata": {"k": "\0"}},
            {"/metadata/k"},
        ),
        (
            "/v1/messages",
            {"chat_id": 1, "content": " ", "message_id": "x"},
            {"/chat_id", "/content", "/message_id"},
        ),
    ],
)
async def test_all_broken_fields_of_a_body_are_named(
    api: Api, path: str, body: dict[str, Any], pointers: set[str]
) -> None:
    answer = await api.gateway.post(path, json=body, headers=await api.sign_in("bruno"))
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == pointers


async def test_all_broken_fields_of_a_query_and_of_oneself_are_named(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    answer = await api.gateway.get("/v1/users?query=%00&limit=0&cursor=%21", headers=bruno)
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "/query/query",
        "/query/limit",
        "/query/cursor",
    }
    body = {"display_name": "\n", "email": "x", "password": "short"}
    answer = await api.gateway.patch("/v1/users/bruno", json=body, headers=bruno)
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "/display_name",
        "/email",
        "/password",
    }


async def test_a_form_is_asked_for_where_json_was_sent(api: Api) -> None:
    grant = {"username": "bruno", "password": "test"}
    answer = await api.gateway.post("/token", json=grant)
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("send a form, not JSON")
    text = json.dumps(grant)
    for media_type in ("text/plain", "application/json; charset=utf-8"):
        headers = {"Content-Type": media_type}
        answer = await api.gateway.post("/token", content=text, headers=headers)
        assert answer.status_code == 415
    assert (await api.gateway.post("/token", data=grant)).status_code == 200
    assert (await api.gateway.post("/token", files={}, data=grant)).status_code == 200
