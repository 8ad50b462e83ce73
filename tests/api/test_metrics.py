"""`/metrics`: it can be read, it changes, and clients cannot add series to it."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from chat4all.adapters.prometheus import RouterMetrics
from chat4all.domain.errors import OutcomeUnknown, Overloaded, Unavailable
from chat4all.http.metrics import metrics_routes
from tests.api.conftest import CHAT, Api, running

pytestmark = pytest.mark.anyio


async def families(client: httpx.AsyncClient) -> dict[str, Metric]:
    """Return the exposed metrics by name; a name that occurs twice is an error."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in found}) == len(found)
    declared = re.findall("^# TYPE ([a-z0-9_]+) ", answer.text, re.MULTILINE)
    assert len(set(declared)) == len(declared)
    return {family.name: family for family in found}


async def values(client: httpx.AsyncClient) -> dict[str, float]:
    """Return every sample's value, by its name and its labels as they are written."""
    found = {}
    for family in (await families(client)).values():
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def settled(client: httpx.AsyncClient) -> dict[str, float]:
    """Return the values once the router has finished every batch that it began."""
    async with asyncio.timeout(10):
        while True:
            found = await values(client)
            begun = found["chat4all_router_batch_records_count"]
            if found["chat4all_router_batch_seconds_count"] == begun:
                return found


async def test_what_happens_is_counted(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    for _ in range(3):
        await api.send(bruno)
    body = {"chat_id": CHAT, "content": ""}
    await api.gateway.post("/v1/messages", json=body, headers=bruno)
    await api.gateway.post("/v1/messages", json=body)
    await api.parts.log.append(CHAT, b"poison")  # type: ignore[arg-type]
    await api.routed()
    await api.history(bruno)
    found = await settled(api.gateway)
    send = 'method="POST",route="/v1/messages"'
    assert found["chat4all_messages_accepted_total"] == 3
    for status, count in ((202, 3), (422, 1), (401, 1)):
        name = f'chat4all_http_requests_total{{{send},status="{status}"}}'
        assert found[name] == count
    assert found[f"chat4all_http_request_duration_seconds_count{{{send}}}"] == 5
    assert 0 < found[f"chat4all_http_request_duration_seconds_sum{{{send}}}"] < 5
    refusals = "chat4all_http_refusals_total"
    assert found[f'{refusals}{{problem="invalid-input",status="422"}}'] == 1
    assert found[f'{refusals}{{problem="not-signed-in",status="401"}}'] == 1
    history = 'method="GET",route="/v1/conversations/{conversation_id}/messages",status="200"'
    assert found[f"chat4all_http_requests_total{{{history}}}"] == 1
    assert found["chat4all_log_append_seconds_count"] >= 3
    assert found['chat4all_store_read_seconds_count{operation="page"}'] == 1
    assert found["chat4all_router_dead_letters_total"] == 1
    # The messages; and of the markers as many as the batches that they came in.
    assert found["chat4all_router_announcements_total"] > 3
    assert found['chat4all_router_lag_records{partition="0"}'] == 0
    assert found["chat4all_router_batch_records_sum"] == await api.parts.log.end()
    batches = found["chat4all_router_batch_records_count"]
    assert batches >= 1
    assert found['chat4all_router_store_seconds_count{operation="write"}'] == batches
    assert found["process_resident_memory_bytes"] > 1e6


async def test_each_service_counts_its_own(api: Api) -> None:
    await api.sign_up("carla")
    for client, routes in ((api.metadata, {"/v1/users"}), (api.gateway, {"/token"})):
        found = (await families(client))["chat4all_http_requests"]
        assert {sample.labels["route"] for sample in found.samples} == routes


async def test_what_the_log_does_not_take_is_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = await api.sign_in("bruno")
    body = {"chat_id": CHAT, "content": "x", "message_id": CHAT}
    for error in (Overloaded("full"), Unavailable("away"), OutcomeUnknown("perhaps")):

        async def fails(*_: object, error: Unavailable = error) -> None:
            raise error

        monkeypatch.setattr(api.parts.log, "append", fails)
        answer = await api.gateway.post("/v1/messages", json=body, headers=bruno)
        assert answer.status_code == 503
    found = await values(api.gateway)
    assert found['chat4all_log_append_failures_total{outcome="refused"}'] == 2
    assert found['chat4all_log_append_failures_total{outcome="unknown"}'] == 1
    assert found["chat4all_messages_accepted_total"] == 0


async def test_what_the_store_does_not_do_is_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bruno = await api.sign_in("bruno")

    async def fails(*_: object, **__: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(api.parts.store, "page", fails)
        broken.setattr(api.parts.store, "write", fails)
        path = f"/v1/conversations/{CHAT}/messages"
        assert (await api.gateway.get(path, headers=bruno)).status_code == 503
        await api.send(bruno)
        async with asyncio.timeout(10):
            found = await values(api.gateway)
            while not found['chat4all_router_store_failures_total{operation="write"}']:
                found = await values(api.gateway)
        assert found['chat4all_router_lag_records{partition="0"}'] > 0
    assert found['chat4all_store_read_failures_total{operation="page"}'] == 1
    await api.routed()


async def test_nobody_can_invent_labels(api: Api) -> None:
    for n in range(3):
        await api.gateway.get(f"/nowhere/{n}")
        await api.gateway.request(f"METHOD{n}", "/health")
        await api.gateway.request(f"METHOD{n}", "/v1/messages")
        await api.gateway.get(f"/v1/conversations/{n}/messages")
        await api.gateway.get(f"/static-offline-docs/{n}")
    found = (await families(api.gateway))["chat4all_http_requests"]
    assert {tuple(sorted(s.labels.items())) for s in found.samples} == {
        (("method", method), ("route", route), ("status", status))
        for method, route, status in [
            ("GET", "other", "404"),
            ("other", "/health", "405"),
            ("other", "/v1/messages", "405"),
            ("GET", "/v1/conversations/{conversation_id}/messages", "401"),
        ]
    }


async def test_a_source_that_fails_or_is_slow_leaves_the_rest() -> None:
    failures = 0

    def failed() -> None:
        nonlocal failures
        failures += 1

    async def good() -> bytes:
        return b"good 1\n"

    async def broken() -> bytes:
        raise ConnectionResetError

    async def slow() -> bytes:
        await asyncio.Event().wait()
        return b"slow 1\n"

    app = FastAPI()
    app.include_router(
        metrics_routes(
            lambda: b"failures %d\n" % failures, [broken, good, slow], failed=failed, seconds=0.05
        )
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.get("/metrics")
    assert answer.content == b"failures 2\ngood 1\n"


async def test_the_routers_metrics_are_there_while_nobody_knows_its_lag() -> None:
    known = True

    async def lag() -> dict[int, int]:
        if not known:
            raise Unavailable("away")
        return {0: 7}

    metrics = RouterMetrics("1", lag)
    assert b'chat4all_router_lag_records{partition="0"} 7.0' in await metrics.text()
    known = False
    text = await metrics.text()
    assert b"lag_records{" not in text
    assert b"chat4all_router_dead_letters_total 0.0" in text


async def test_two_in_one_process_share_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "a") as one, running(tmp_path / "b") as two:
        await one.send(await one.sign_in("bruno"))
        assert (await values(one.gateway))["chat4all_messages_accepted_total"] == 1
        assert (await values(two.gateway))["chat4all_messages_accepted_total"] == 0
