"""Asking the metadata service: what is refused, tried again, cached, and for how long."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import msgspec
import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chat4all.adapters.caching import OutboxFollower, cached_members
from chat4all.adapters.crypto import proof_of
from chat4all.adapters.metadata_http import (
    HttpDirectory,
    HttpMemberships,
    HttpOutbox,
    HttpSessions,
    HttpUsers,
    MetadataService,
    SameSecret,
    same_secret,
)
from chat4all.adapters.metadata_http import service as service_module
from chat4all.adapters.sql import SqlOutbox, sql_people
from chat4all.domain.errors import (
    Degraded,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    StartRefused,
    Unavailable,
)
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.listing import LISTED_MEMBERS_MAX, Detail
from chat4all.domain.people import (
    NOTE_KEY_MAX,
    NOTE_MAX,
    NOTES_MAX,
    TITLE_MAX,
    ConversationType,
    Role,
)
from chat4all.http import health
from chat4all.metadata import InternalEndpoint
from chat4all.ports.health import ASIDE_PING_SECONDS
from chat4all.processes.directories import people_in_database, people_of_service
from chat4all.settings import load_settings
from chat4all.usecases.listing import LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX
from tests.contract.test_directory import ANA, BRUNO, group, user
from tests.databases import Place, place_at
from tests.docs.troubles import assert_documented
from tests.faults.running import free_ports
from tests.metadata_service import CREDENTIAL, serving

pytestmark = pytest.mark.anyio

CHAT = ConversationId("550e8400-e29b-41d4-a716-446655440000")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with place_at(tmp_path / "metadata.db") as found:
        yield found


@pytest.fixture
def endpoint(place: Place) -> InternalEndpoint:
    return an_endpoint(place)


def an_endpoint(place: Place, *proofs: bytes) -> InternalEndpoint:
    database = place.database
    return InternalEndpoint(
        CREDENTIAL.encode(),
        sql_people(database),
        SqlOutbox(database),
        secret_proofs=proofs,
    )


@asynccontextmanager
async def asking(app: ASGIApp, credential: str = CREDENTIAL) -> AsyncIterator[MetadataService]:
    """Ask an application, over a network."""
    async with serving(app) as url:
        service = MetadataService(url, credential)
        yield service
        await service.close()


async def raw(
    endpoint: InternalEndpoint, name: str, content: bytes, **headers: str
) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(endpoint), base_url="http://metadata"
    ) as client:
        given = {"Content-Type": "application/json", **headers}
        return await client.post(f"/internal/{name}", content=content, headers=given)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        f"Bearer {CREDENTIAL}",
        f"Chat4All-Service {CREDENTIAL}x",
        f"Chat4All-Service {CREDENTIAL[:-1]}",
        "Chat4All-Service",
        CREDENTIAL,
    ],
)
async def test_without_the_credential_nothing_is_told(
    endpoint: InternalEndpoint, authorization: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    for name in ("user", "no_such_question"):
        answer = await raw(endpoint, name, b'{"username": "ana"}', **headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Chat4All-Service"
    good = {"Authorization": f"Chat4All-Service {CREDENTIAL}"}
    assert (await raw(endpoint, "user", b'{"username": "ana"}', **good)).content == b"null"


async def test_what_is_no_question_is_refused(endpoint: InternalEndpoint) -> None:
    good = {"Authorization": f"Chat4All-Service {CREDENTIAL}"}
    assert (await raw(endpoint, "no_such_question", b"{}", **good)).status_code == 404
    assert (await raw(endpoint, "user", b"{}", **good)).status_code == 422
    assert (await raw(endpoint, "user", b"{", **good)).status_code == 400
    assert (await raw(endpoint, "user", b" " * (1 << 20) + b" ", **good)).status_code == 413


async def test_a_service_of_an_older_release_is_unavailable(endpoint: InternalEndpoint) -> None:
    async with asking(endpoint) as service:
        with pytest.raises(Unavailable, match="no_such_question") as refused:
            await service.ask("no_such_question", msgspec.defstruct("Q", [])(), None, writes=True)
    assert not isinstance(refused.value, OutcomeUnknown)
    assert_documented(str(refused.value))
    assert refused.value.public == "the metadata service is unavailable"


async def test_a_wrong_credential_is_told_to_the_operator_and_fails_closed(
    endpoint: InternalEndpoint,
) -> None:
    wrong = "x" * 32
    async with asking(endpoint, wrong) as service:
        with pytest.raises(Unavailable, match="credential") as refused:
            await HttpSessions(service).get(SessionId("one"))
    assert_documented(str(refused.value))
    assert wrong not in str(refused.value)
    assert refused.value.public == "the metadata service is unavailable"


@pytest.mark.parametrize(("ours", "same"), [("s" * 32, True), ("t" * 32, False)])
async def test_another_secret_key_is_noticed_and_not_told_to_anybody(
    place: Place, ours: str, same: bool
) -> None:
    """Fails when nobody compares."""
    # The one that it signs with, and one that it accepts while keys change.
    endpoint = an_endpoint(place, proof_of(b"r" * 32), proof_of(b"s" * 32))
    url, proof = "http://metadata:8001", proof_of(ours.encode())
    async with asking(endpoint) as service:
        compared = SameSecret(service, url, proof)
        assert await compared.ask() is same
        if same:
            await compared.ping()
        else:
            with pytest.raises(Degraded) as told:
                await compared.ping()
            assert_documented(str(told.value))
    async with asking(endpoint, "x" * 32) as service:
        await SameSecret(service, url, proof).ping()  # what is unavailable is told elsewhere


async def test_a_service_that_hangs_is_told_elsewhere(
    endpoint: InternalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as a `secret key` that is unavailable."""

    class Hanging(SameSecret):
        async def ask(self) -> bool:
            return await asyncio.Event().wait()

    assert ASIDE_PING_SECONDS < health.PING_SECONDS
    monkeypatch.setattr(same_secret, "ASIDE_PING_SECONDS", 0.01)
    async with asking(endpoint) as service:
        await Hanging(service, "http://metadata:8001", b"proof").ping()


async def test_the_largest_group_passes(endpoint: InternalEndpoint) -> None:
    names = [Username(f"{n:x<32}") for n in range(10_000)]
    async with asking(endpoint) as service:
        # They are not users; that this is what is said shows that all of it has arrived.
        with pytest.raises(NotFound, match="no such user"):
            await HttpDirectory(service).add_conversation(group(*names))


class Canned:
    """Answers everything in the same way."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        await self.response(scope, receive, send)


async def _endless() -> AsyncIterator[bytes]:
    yield b"[]"


@pytest.mark.parametrize(
    "response",
    [
        Response(status_code=500),
        Response("a proxy's page", 404),
        Response("a proxy's page", 503),
        Response(status_code=302, headers={"Location": "/internal/elsewhere"}),
        Response("{"),
        Response(b'"\xff"'),
        Response("[1, 2, 3]"),
        Response(status_code=429),
        StreamingResponse(_endless()),
    ],
)
async def test_an_answer_that_is_none_is_no_answer(response: Response) -> None:
    canned = Canned(response)
    async with asking(canned) as service:
        with pytest.raises(Unavailable) as refused:
            await HttpDirectory(service).members(CHAT)
        assert not isinstance(refused.value, OutcomeUnknown)
        with pytest.raises(OutcomeUnknown):
            await HttpUsers(service).add_user(user(ANA), b"")
    assert canned.asked == ["/internal/members", "/internal/add_user"]


@pytest.mark.parametrize("kind", ["unavailable", "outcome-unknown"])
async def test_what_the_service_says_of_a_write_is_believed(kind: str) -> None:
    away = JSONResponse({"type": f"/problems/{kind}", "detail": "away"}, 503)
    async with asking(Canned(away)) as service:
        with pytest.raises(Unavailable, match="away") as refused:
            await HttpUsers(service).add_user(user(ANA), b"")
    assert isinstance(refused.value, OutcomeUnknown) == (kind == "outcome-unknown")


@asynccontextmanager
async def losing(
    times: int, answer: bytes = b""
) -> AsyncIterator[tuple[MetadataService, list[bytes]]]:
    """A service that ends the connection under so many requests, and then answers."""
    asked: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n")).split()[1])
        if len(asked) > times:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
            writer.write(head.encode() + answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    service = MetadataService(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", CREDENTIAL)
    yield service, asked
    await service.close()
    server.close()


async def test_only_what_cannot_have_been_done_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_module, "WAIT_MAX_SECONDS", 0.0)
    async with losing(9) as (service, asked):
        with pytest.raises(Unavailable):
            await HttpDirectory(service).members(CHAT)
        assert len(asked) == service_module.TRIES
        with pytest.raises(OutcomeUnknown):
            await HttpUsers(service).add_user(user(ANA), b"")
        assert len(asked) == service_module.TRIES + 1
    (port,) = free_ports(1)
    nobody = MetadataService(f"http://127.0.0.1:{port}", CREDENTIAL)
    with pytest.raises(Unavailable) as refused:
        await HttpUsers(nobody).add_user(user(ANA), b"")
    assert not isinstance(refused.value, OutcomeUnknown)
    await nobody.close()


async def test_a_lost_connection_is_not_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "WAIT_MAX_SECONDS", 0.0)
    async with losing(2, b'{"ana": "owner"}') as (service, asked):
        assert await HttpDirectory(service).members(CHAT) == {ANA: Role.OWNER}
        assert asked == [b"/internal/members"] * 3


async def test_a_service_under_another_address_is_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when an address is kept for longer than a moment after its name was resolved."""
    monkeypatch.setattr(service_module, "RESOLVE_SECONDS", 0)
    monkeypatch.setattr(service_module, "WAIT_MAX_SECONDS", 0.0)
    (port,) = free_ports(1)
    where, resolve = ["127.0.0.2"], socket.getaddrinfo

    def moved(host: Any, *given: Any, **more: Any) -> Any:
        return resolve(where[0] if host == "metadata" else host, *given, **more)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    monkeypatch.setattr(socket, "getaddrinfo", moved)
    service = MetadataService(f"http://metadata:{port}", CREDENTIAL)
    for address in ("127.0.0.2", "127.0.0.3"):
        where[0] = address
        server = await asyncio.start_server(take, address, port)
        assert await HttpDirectory(service).members(CHAT) == {}
        server.close()
        await server.wait_closed()
    await service.close()


async def test_a_write_is_tried_again_until_the_service_is_there(
    endpoint: InternalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "WAIT_MAX_SECONDS", 0.0)
    async with asking(endpoint) as service:
        send = service._session.post
        failures = 2

        def refuse_at_first(*given: Any, **more: Any) -> Any:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise aiohttp.ConnectionTimeoutError
            return send(*given, **more)

        monkeypatch.setattr(service._session, "post", refuse_at_first)
        await HttpUsers(service).add_user(user(ANA), b"")
        assert await HttpUsers(service).user(ANA) == user(ANA)


@pytest.mark.thorough
async def test_silence_ends_and_too_many_questions_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_module, "ASK_SECONDS", 0.3)
    monkeypatch.setattr(service_module, "WAITING_MAX", 1)

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(0.7)

    async with asking(hang) as service:
        waiting = asyncio.create_task(HttpDirectory(service).members(CHAT))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await HttpDirectory(service).members(CHAT)
        with pytest.raises(Unavailable, match="in time"):
            await waiting
        with pytest.raises(OutcomeUnknown):
            await HttpUsers(service).add_user(user(ANA), b"")


async def test_a_change_through_one_gateway_is_seen_by_another(
    endpoint: InternalEndpoint,
) -> None:
    async with serving(endpoint) as url:
        services = [MetadataService(url, CREDENTIAL) for _ in range(2)]
        await _two_gateways(services)
        for service in services:
            await service.close()


async def _two_gateways(services: Sequence[MetadataService]) -> None:
    following = [OutboxFollower(HttpOutbox(service)) for service in services]
    directories: Sequence[HttpDirectory] = [
        cached_members(HttpDirectory(s), f) for s, f in zip(services, following, strict=True)
    ]
    for one in following:
        await one.poll()
    here, there = directories
    for name in (ANA, BRUNO):
        await HttpUsers(services[0]).add_user(user(name), b"")
    chat = await here.add_conversation(group(ANA))
    assert list(await there.members(chat.conversation_id)) == [ANA]
    await here.add_member(chat.conversation_id, BRUNO, Role.MEMBER)
    assert list(await here.members(chat.conversation_id)) == [ANA, BRUNO]
    assert list(await there.members(chat.conversation_id)) == [ANA]
    await following[1].poll()
    assert list(await there.members(chat.conversation_id)) == [ANA, BRUNO]


@pytest.mark.parametrize("credential", [None, "short", "x" * 31, "with spaces " * 5, "ü" * 40])
async def test_a_start_without_a_good_credential_is_refused(credential: str | None) -> None:
    settings = load_settings(service_credential=credential, database_url="sqlite:///x.db")
    for parts in (people_in_database(settings.metadata), people_of_service(settings.gateway)):
        with pytest.raises(StartRefused, match="CHAT4ALL_SERVICE_CREDENTIAL") as refused:
            async with parts:
                raise AssertionError
        assert credential is None or credential not in str(refused.value)


async def test_a_start_without_a_database_is_refused() -> None:
    settings = load_settings(service_credential=CREDENTIAL)
    with pytest.raises(StartRefused, match="DATABASE_URL"):
        async with people_in_database(settings.metadata):
            raise AssertionError


class LongAnswers:
    """A service whose conversations have the longest titles, notes and names of members."""

    def __init__(self) -> None:
        names = [Username(f"a-name-of-32-characters-in-{n:05}") for n in range(LISTED_MEMBERS_MAX)]
        wide = "\U0001f388"
        notes = {wide * (NOTE_KEY_MAX - 3) + f"{n:03}": wide * NOTE_MAX for n in range(NOTES_MAX)}
        members = dict.fromkeys(names, Role.MEMBER)
        created = "2026-01-31T12:00:00.000Z"
        self.detail = Detail(
            ConversationType.GROUP, wide * TITLE_MAX, created, notes, members, 10_000, None
        )
        self.sizes: list[int] = []

    async def ask(self, name: str, question: Any, shape: Any, *, writes: bool) -> Any:
        assert (name, writes) == ("details", False)
        answer = msgspec.json.encode(dict.fromkeys(question.conversations, self.detail))
        self.sizes.append(len(answer))
        return msgspec.json.decode(answer, type=shape)


async def test_the_longest_notes_of_a_whole_list_fit() -> None:
    service: Any = LongAnswers()
    keys = [ConversationId(str(uuid.UUID(int=number))) for number in range(LIST_LIMIT_MAX)]
    found = await HttpMemberships(service).details(keys, ANA)
    assert list(found) == keys
    assert found[keys[-1]] == service.detail
    assert max(service.sizes) < service_module.ANSWER_MAX
    service.sizes.clear()
    assert await HttpMemberships(service).details([], ANA) == {}
    await HttpMemberships(service).details(keys[:LIST_LIMIT_DEFAULT], ANA)
    assert len(service.sizes) == 1, "the usual page is one question"
