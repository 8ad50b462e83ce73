"""Hostile requests on the running product: each refused or answered rightly within 10 seconds.

The tests share one process, and the last one looks at what all of them left behind.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from chat4all.http.server.limits import AHEAD_MAX, CONNECTIONS_MAX, LINGER_SECONDS
from chat4all.wire.body_sizes import MESSAGE_BODY_MAX
from tests.faults.running import CHAT, Running, call, until
from tests.input.wire import SECONDS_MAX, Answer, Wire, request

pytestmark = pytest.mark.slow

JSON_ROUTES = [
    "/v1/messages",
    f"/v1/conversations/{CHAT}/read",
    f"/v1/conversations/{CHAT}/members",
    "/v1/conversations",
    "/v1/users",
]
GOOD = json.dumps({"chat_id": CHAT, "content": "x"}).encode()
MEGABYTE = b" " * 1_000_000


@pytest.fixture(scope="module")
def token(running: Running) -> str:
    return running.token("bruno")


def ask(running: Running, data: bytes | Iterable[bytes], method: str = "POST") -> Answer:
    """Return the answer to these bytes on a connection of their own."""
    started = time.monotonic()
    with Wire(running.port) as wire:
        wire.send(data)
        answer = wire.answer(method)
    assert answer is not None
    assert time.monotonic() - started < SECONDS_MAX
    return answer


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def failures(running: Running) -> list[str]:
    """Return what the product itself thinks went wrong inside."""
    signs = ('"WARNING"', '"ERROR"', '"CRITICAL"', "Traceback")
    expected = (
        "too many connections are open",
        '"status": 503',
        "rate limits are off",
        "were not logged",
    )
    return [
        line
        for line in running.log().splitlines()
        if any(sign in line for sign in signs) and not any(known in line for known in expected)
    ]


def hundred_megabytes(path: str, token: str, chunked: bool) -> Iterator[bytes]:
    how = "Transfer-Encoding: chunked" if chunked else "Content-Length: 100000000"
    yield request(path, token=token, length=False, more=[how])
    for _ in range(100):
        yield b"%x\r\n" % len(MEGABYTE) + MEGABYTE + b"\r\n" if chunked else MEGABYTE


@pytest.mark.parametrize("path", JSON_ROUTES)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_megabytes(running: Running, token: str, path: str, chunked: bool) -> None:
    assert ask(running, hundred_megabytes(path, token, chunked)).problem()["status"] == 413


@pytest.mark.parametrize("path", JSON_ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"content":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"metadata":' * 900 + b"1" + b"}" * 900,
        b'{"content": ' + b"9" * 60_000 + b"}",
        b'{"seq": 1e999999999}',
        b'{"seq": NaN, "content": Infinity, "title": -Infinity}',
        b'{"members": ["\\ud800"], "title": "\\udfff", "username": "\\ud800"}',
        b'{"content": "\\ud800"}',
        b'{"content": "x", "username": "xx", "type": "group", "members": ["a\\u0000"]}',
        b"\xff\xfe{\0}\0",
        b"\xfe\xff\0{\0}",
        b"\xff\xfe\0\0{\0\0\0}\0\0\0",
        "{}".encode("utf-16-le"),
        "{}".encode("utf-32-be"),
        b"\xef\xbb\xbf{}",
        b'{"content": "\xff"}',
        b'{"content": "\xed\xa0\x80"}',
        b'{"content": "\xc0\xaf"}',
        b'{"content": "a\0b"}',
        b"\0",
        b"",
        b"null",
        b"{}{}",
        b'{"content": "x"',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_is_not_what_it_should_be(
    running: Running, token: str, path: str, body: bytes
) -> None:
    answer = ask(running, request(path, body, token=token))
    assert answer.problem()["status"] in (400, 422), answer


WRONG: list[object] = [
    None,
    True,
    -1,
    1.5,
    10**30,
    2**63,
    "",
    "\0",
    "\ud800",
    "x" * 20_000,
    [],
    [[]],
    {},
    {"": {}},
    ["\ud800"],
    {"\ud800": "\ud800"},
]


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("/v1/messages", {"chat_id": CHAT, "content": "x", "message_id": CHAT}),
        (f"/v1/conversations/{CHAT}/read", {"seq": 0}),
        (f"/v1/conversations/{CHAT}/members", {"username": "nobody", "role": "member"}),
        (
            "/v1/conversations",
            {"type": "group", "title": "t", "members": ["ana"], "metadata": {"a": "b"}},
        ),
        ("/v1/users", {"username": "ana", "email": "a@example.com", "password": "long enough"}),
    ],
)
def test_every_field_of_a_wrong_type(
    running: Running, token: str, path: str, good: dict[str, object]
) -> None:
    with Wire(running.port) as wire:
        for field in good:
            for wrong in WRONG:
                wire.send(request(path, json.dumps({**good, field: wrong}).encode(), token=token))
                answer = wire.answer()
                assert answer is not None
                assert answer.status < 500, (field, wrong, answer)
                # Some of them are allowed: an empty list of members, a message of spaces.
                if answer.status >= 300:
                    assert answer.problem()["status"] in (400, 409, 422), (field, wrong)
                    if answer.status == 422:
                        assert answer.problem()["errors"][0]["pointer"].startswith(f"/{field}"), (
                            field,
                            wrong,
                        )


def test_the_last_of_two_keys_counts(running: Running, token: str) -> None:
    body = b'{"chat_id": "no", "chat_id": "%s", "content": 1, "content": "x"}' % CHAT.encode()
    assert ask(running, request("/v1/messages", body, token=token)).status in (202, 422)


@pytest.mark.parametrize("path", [*JSON_ROUTES, "/token"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "identity, gzip"])
def test_an_encoded_body_is_refused(running: Running, token: str, path: str, coding: str) -> None:
    more = [f"Content-Encoding: {coding}"]
    answer = ask(running, request(path, b"\x1f\x8b\x08\0" * 1000, token=token, more=more))
    assert answer.problem()["status"] == 415
    # RFC 9110, section 15.5.16.
    assert answer.headers["accept-encoding"] == "identity"


def test_a_form_of_wrong_bytes(running: Running) -> None:
    for body in (
        b"username=%ED%A0%80&password=%FF%00",
        b"username=\xff\xfe&password=\0",
        b"username=a&username=b&password=c",
        b"&" * 60_000,
        b"=&" * 30_000,
        b"password=" + b"x" * 60_000 + b"&username=bruno",
    ):
        sent = request("/token", body, content_type="application/x-www-form-urlencoded")
        assert ask(running, sent).problem()["status"] in (400, 401, 422), body[:30]
    parts = b"--x\r\nContent-Disposition: form-data; name=username\r\n\r\na\r\n" * 900 + b"--x--"
    sent = request("/token", parts, content_type="multipart/form-data; boundary=x")
    assert ask(running, sent).problem()["status"] in (400, 422)


def test_query_parameters_by_the_thousand(running: Running, token: str) -> None:
    path = f"/v1/conversations/{CHAT}/messages?"
    for query, status in [
        ("&".join(["limit=1"] * 3_000), 200),
        ("&".join(f"a{n}=" for n in range(4_000)), 200),
        ("limit=" + "9" * 20_000, 422),
        ("before=%ED%A0%80", 422),
        ("after=%00", 422),
        ("around=1e5", 422),
    ]:
        sent = request(path + query, method="GET", token=token)
        assert ask(running, sent).status == status, query[:30]


NOT_HTTP = {
    "tls": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
    "no words": b"hello\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown method": b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"GET /health HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "folded header": b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "space before the colon": b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
    "line feeds": b"GET /health HTTP/1.1\nHost: x\n\n",
    "length and chunks": request("/v1/messages", GOOD, more=["Transfer-Encoding: chunked"]),
    "two lengths": request("/v1/messages", GOOD, more=["Content-Length: 5"]),
    "twice the same length": request("/v1/messages", GOOD, more=[f"Content-Length: {len(GOOD)}"]),
    "two codings": request(
        "/v1/messages", length=False, more=["Transfer-Encoding: chunked, chunked"]
    )
    + b"zz\r\n",
    "unknown coding": request("/v1/messages", GOOD, length=False, more=["Transfer-Encoding: x"]),
    "negative length": request("/v1/messages", length=False, more=["Content-Length: -1"]),
    "signed length": request("/v1/messages", length=False, more=["Content-Length: +1"]),
    "endless length": request("/v1/messages", length=False, more=["Content-Length: " + "9" * 30]),
    "wrong chunk": request(
        "/v1/messages", b"zz\r\n", length=False, more=["Transfer-Encoding: chunked"]
    ),
    "endless chunk": request(
        "/v1/messages", b"f" * 30 + b"\r\n", length=False, more=["Transfer-Encoding: chunked"]
    ),
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_is_refused_and_the_connection_ends(running: Running, name: str) -> None:
    with Wire(running.port) as wire:
        wire.send(NOT_HTTP[name])
        answer = wire.answer()
        assert answer is not None
        # Without a token some are told so before the rest of their body is looked at.
        assert answer.problem()["status"] in (400, 401)
        if answer.status == 400:
            assert answer.headers["connection"] == "close"
        assert wire.is_closed()


H2C = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAA"]
"""What Java's client and `curl --http2` send with their first request."""


def test_an_offer_of_another_protocol_is_not_taken(running: Running, token: str) -> None:
    chunked = [*H2C, "Transfer-Encoding: chunked"]
    head = request("/v1/messages", token=token, length=False, more=chunked)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    with Wire(running.port) as wire:
        for parts in (
            [request("/v1/messages", GOOD, token=token, more=H2C) * 3],
            [request("/v1/messages", GOOD, token=token, more=H2C)[:-5], GOOD[-5:]],
            [head, body],
            [head + body[:7], body[7:] + request("/health", method="GET", more=H2C)],
        ):
            wire.send(parts)
        statuses = [answer.status if (answer := wire.answer()) else None for _ in range(7)]
    assert statuses == [202] * 6 + [200]
    with Wire(running.port) as wire:
        wire.send(request("/v1/messages", b"x" * (MESSAGE_BODY_MAX + 1), token=token, more=H2C))
        answer = wire.answer()
        assert answer is not None
        assert answer.problem()["status"] == 413


def test_trailers_say_nothing_about_who_asks(running: Running, token: str) -> None:
    head = request("/v1/messages", length=False, more=["Transfer-Encoding: chunked"])
    body = b"%x\r\n%s\r\n0\r\n" % (len(GOOD), GOOD)
    trailer = f"Authorization: Bearer {token}\r\n\r\n".encode()
    assert ask(running, head + body + trailer).problem()["status"] == 401


def test_what_is_http_is_answered(running: Running, token: str) -> None:
    for data, status in [
        (head("GET /health HTTP/1.0"), 200),
        (head("GET http://elsewhere.example/health HTTP/1.1", "Host: x"), 200),
        (head("OPTIONS * HTTP/1.1", "Host: x"), 404),
        (head("TRACE /health HTTP/1.1", "Host: x"), 405),
        (head("PROPFIND /v1/messages HTTP/1.1", "Host: x"), 405),
        (head("GET /%ff%00/../.. HTTP/1.1", "Host: x"), 404),
        (head("GET /health HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"), 200),
        (request("/v1/messages", GOOD, token=token, more=["Expect: 100-continue"]), 202),
        (request("/v1/messages", GOOD, token=token, more=H2C), 202),
    ]:
        answer = ask(running, data)
        assert answer.status == status, (data, answer)
        if status >= 400:
            answer.problem()


def test_a_head_without_end(running: Running, token: str) -> None:
    line = b"a: b\r\n"
    chunks = request("/v1/messages", token=token, length=False, more=["Transfer-Encoding: chunked"])
    for data, statuses in [
        (b"GET /" + b"x" * 1_000_000, (414,)),
        (b"GET /health HTTP/1.1\r\na: " + b"x" * 10_000_000, (431,)),
        (b"GET /health HTTP/1.1\r\n" + line * 1_000_000, (431,)),
        (b"\r\n" * 1_000_000, (431,)),
        (chunks + b"0\r\n" + line * 1_000_000, (400, 431)),
        (chunks + b"1;" + b"x" * 10_000_000, (400, 413)),
    ]:
        with Wire(running.port) as wire:
            wire.send(data[first : first + 100_000] for first in range(0, len(data), 100_000))
            answer = wire.answer()
            assert answer is not None, data[:60]
            assert answer.problem()["status"] in statuses, data[:60]
            assert wire.is_closed()


def test_pipelined_requests_are_answered_in_order(running: Running, token: str) -> None:
    with Wire(running.port) as wire:
        wire.send(
            request("/health", method="GET")
            + request("/v1/messages", GOOD, token=token)
            + request("/nowhere", method="GET")
            + b"garbage\r\n\r\n"
        )
        found = [wire.answer() for _ in range(4)]
        assert [a.status if a else None for a in found] == [200, 202, 404, 400]
        assert wire.is_closed()


@pytest.mark.parametrize("size", [1_500, 1_731, 2_047])
def test_large_requests_ahead_of_their_answers(running: Running, token: str, size: int) -> None:
    body = json.dumps({"chat_id": CHAT, "content": "x" * size}).encode()
    with Wire(running.port) as wire:
        wire.send(request("/v1/messages", body, token=token) * AHEAD_MAX)
        statuses = [answer.status if (answer := wire.answer()) else None for _ in range(AHEAD_MAX)]
    assert statuses == [202] * AHEAD_MAX


def test_an_answer_is_whole_although_what_followed_was_refused(
    running: Running, token: str
) -> None:
    big = json.dumps({"chat_id": CHAT, "content": "é" * 10_000}).encode()
    with Wire(running.port) as wire:
        for _ in range(200):
            wire.send(request("/v1/messages", big, token=token))
            assert wire.answer() is not None
    until(lambda: len(running.history(token)[-1]["content"]) == 10_000)
    path = f"/v1/conversations/{CHAT}/messages?limit=200"
    with Wire(running.port) as wire:
        wire.send(request(path, method="GET", token=token) + b"garbage\r\n\r\n")
        time.sleep(LINGER_SECONDS + 1)  # a client that reads slowly
        answers = [wire.answer(), wire.answer()]
    assert [answer.status if answer else None for answer in answers] == [200, 400]


def test_too_many_pipelined_requests(running: Running) -> None:
    with Wire(running.port) as wire:
        wire.send(request("/health", method="GET", content_type=None, length=False) * 20_000)
        statuses = []
        while (answer := wire.answer()) is not None:
            statuses.append(answer.status)
    assert statuses[:AHEAD_MAX] == [200] * AHEAD_MAX
    assert statuses[-1] == 429
    assert len(statuses) < 1_000


def slowly(running: Running, first: bytes, drop: bytes, answers: list[Answer | None]) -> None:
    """Send a byte twice a second until the other side has had enough."""
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.5):
            wire.send(drop)

    with Wire(running.port) as wire:
        wire.send(first)
        dripping = threading.Thread(target=drip)
        dripping.start()
        started = time.monotonic()
        try:
            answers.append(wire.answer())
            assert wire.is_closed()
        finally:
            ended.set()
            dripping.join()
        assert time.monotonic() - started < SECONDS_MAX


def test_slow_requests_end_within_10_seconds(running: Running, token: str) -> None:
    length = ["Content-Length: 100"]
    cases: list[tuple[bytes, bytes, int | None]] = [
        (b"", b"", None),
        (b"", b"\r\n", None),
        (b"GET /", b"x", 408),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nA: ", b"a", 408),
        *((request(p, token=token, length=False, more=length), b" ", 408) for p in JSON_ROUTES),
        (
            request(
                "/token",
                content_type="application/x-www-form-urlencoded",
                length=False,
                more=length,
            ),
            b"a",
            408,
        ),
    ]
    answers: list[list[Answer | None]] = [[] for _ in cases]
    threads = [
        threading.Thread(target=slowly, args=(running, first, drop, found))
        for (first, drop, _), found in zip(cases, answers, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS_MAX)
    for (first, _, status), found in zip(cases, answers, strict=True):
        assert len(found) == 1, first
        if status is None:
            assert found[0] is None, first
        else:
            assert found[0] is not None, first
            assert found[0].problem()["status"] == status, first


def test_a_client_that_goes_away_in_the_middle_is_no_error(running: Running, token: str) -> None:
    for path in JSON_ROUTES:
        with Wire(running.port) as wire:
            wire.send(
                request(path, GOOD[:5], token=token, length=False, more=["Content-Length: 9"])
            )
    with Wire(running.port) as wire:
        wire.send(b"GET /hea")
    assert ask(running, request("/health", method="GET")).status == 200
    assert failures(running) == []


def test_a_client_that_does_not_read_is_given_up(running: Running, token: str) -> None:
    """Only that it delays nobody and that others are answered: its time is half a minute."""
    big = json.dumps({"chat_id": CHAT, "content": "é" * 10_000}).encode()
    with Wire(running.port) as wire:
        for _ in range(20):
            wire.send(request("/v1/messages", big, token=token))
            assert wire.answer() is not None
    page = request(f"/v1/conversations/{CHAT}/messages?limit=200", method="GET", token=token)
    deaf = [Wire(running.port) for _ in range(20)]
    try:
        for wire in deaf:
            wire.send(page * 10)
        assert ask(running, request("/health", method="GET")).status == 200
    finally:
        for wire in deaf:
            wire.socket.close()


def open_connections(running: Running) -> int:
    assert running.process is not None
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def test_silent_connections_make_room_for_new_ones(running: Running, token: str) -> None:
    before = open_connections(running)
    wires: list[Wire] = []
    try:
        wires.extend(Wire(running.port) for _ in range(CONNECTIONS_MAX + 100))
        for _ in range(3):
            assert ask(running, request("/v1/messages", GOOD, token=token)).status == 202
        assert open_connections(running) <= before + CONNECTIONS_MAX + 10
    finally:
        for wire in wires:
            wire.socket.close()
    until(lambda: open_connections(running) <= before + 10)


def test_the_server_is_as_it_was_before_all_of_this(running: Running, token: str) -> None:
    """Runs after the attacks above: nothing failed inside, and sending and reading work."""
    assert failures(running) == []
    status, ready = call("GET", f"{running.gateway}/health/ready")
    assert status == 200, ready
    before = len(running.history(token))
    assert ask(running, request("/v1/messages", GOOD, token=token)).status == 202
    until(lambda: len(running.history(token)) == before + 1)
