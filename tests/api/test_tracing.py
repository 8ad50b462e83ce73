"""A trace travels from the request to the log's record (W3C Trace Context)."""

import pytest

from chat4all.domain.records import Headers
from tests.api.conftest import CHAT, Api

pytestmark = pytest.mark.anyio

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def headers_of_record(api: Api, *traces: str) -> Headers:
    """Send a message with these `traceparent` headers, and return its record's headers."""
    bruno = await api.sign_in("bruno")
    before = await api.parts.log.end()
    answer = await api.gateway.post(
        "/v1/messages",
        json={"chat_id": CHAT, "content": "x"},
        headers=[*bruno.items(), *(("traceparent", trace) for trace in traces)],
    )
    assert answer.status_code == 202
    (record,) = await api.parts.log.read(before, 10)
    return record.headers


async def test_a_trace_is_in_the_record(api: Api) -> None:
    assert await headers_of_record(api, TRACE) == (("traceparent", TRACE.encode()),)


async def test_without_a_trace_a_record_has_no_header(api: Api) -> None:
    assert await headers_of_record(api) == ()


@pytest.mark.parametrize(
    "trace",
    [
        "",
        TRACE.upper(),
        TRACE + "-00",
        TRACE + " ",
        TRACE[:-1],
        "x" + TRACE,
        TRACE.replace("00-", "01-", 1),
        TRACE.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        TRACE.replace("4", "g"),
        TRACE.replace("-", "_"),
    ],
)
async def test_an_invalid_trace_is_passed_over(api: Api, trace: str) -> None:
    assert await headers_of_record(api, trace) == ()


async def test_two_traces_are_passed_over(api: Api) -> None:
    assert await headers_of_record(api, TRACE, TRACE) == ()


async def test_a_trace_is_in_the_record_of_a_marker(api: Api) -> None:
    bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
    for _ in range(2):
        await api.send(ana)
    await api.routed()
    before = await api.parts.log.end()
    for seq, headers in ((1, bruno | {"traceparent": TRACE}), (2, bruno)):
        path = f"/v1/conversations/{CHAT}/read"
        answer = await api.gateway.post(path, json={"seq": seq}, headers=headers)
        assert answer.status_code == 202
    traced, untraced = await api.parts.log.read(before, 10)
    assert traced.headers == (("traceparent", TRACE.encode()),)
    assert untraced.headers == ()
