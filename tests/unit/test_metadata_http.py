"""Asking the metadata service: what is refused, tried again, remembered, and for how long."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat4all.adapters.metadata_http import (
    Following,
    FollowingDirectory,
    FollowingSessions,
    HttpDirectory,
    HttpOutbox,
    HttpSessions,
    MetadataService,
)
from chat4all.adapters.metadata_http import following as following_module
from chat4all.adapters.metadata_http import service as service_module
from chat4all.adapters.sql import SqlDirectory, SqlOutbox, SqlSessions
from chat4all.domain.errors import (
    NotFound,
    OutcomeUnknown,
    Overloaded,
    StartRefused,
    Unavailable,
)
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, Session
from chat4all.metadata import InternalEndpoint
from chat4all.metadata_parts import asked_metadata, own_metadata
from chat4all.ports import OutboxEntry, OutboxPage, Subject
from chat4all.settings import load_settings
from tests.contract.test_directory import ANA, BRUNO, group, user
from tests.contract.test_sessions import session
from tests.databases import Place, place_at

pytestmark = pytest.mark.anyio

CREDENTIAL = "0123456789abcdef0123456789abcdef"
CHAT = ConversationId("550e8400-e29b-41d4-a716-446655440000")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with place_at(tmp_path / "metadata.db") as found:
        yield found


@pytest.fixture
def endpoint(place: Place) -> InternalEndpoint:
    database = place.database
    parts = SqlDirectory(database), SqlSessions(database), SqlOutbox(database)
    return InternalEndpoint(CREDENTIAL.encode(), *parts)


def asking(
    answer: Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]],
) -> MetadataService:
    transport = httpx.MockTransport(answer)  # type: ignore[arg-type]
    return MetadataService("http://metadata", CREDENTIAL, transport=transport)


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


async def test_a_wrong_credential_is_told_to_the_operator_and_fails_closed(
    endpoint: InternalEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "x" * 32
    service = MetadataService("http://metadata", wrong, transport=httpx.ASGITransport(endpoint))
    with caplog.at_level(logging.ERROR), pytest.raises(Unavailable, match="credential"):
        await HttpSessions(service).get(SessionId("one"))
    assert "CHAT4ALL_SERVICE_CREDENTIAL" in caplog.text
    assert wrong not in caplog.text
    await service.close()


async def test_the_largest_group_passes(endpoint: InternalEndpoint, place: Place) -> None:
    names = [Username(f"{n:x<32}") for n in range(10_000)]
    service = MetadataService("http://m", CREDENTIAL, transport=httpx.ASGITransport(endpoint))
    # They are not users; that this is what is said shows that all of it has arrived.
    with pytest.raises(NotFound, match="no such user"):
        await HttpDirectory(service).add_conversation(group(*names))
    await service.close()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(404, text="a proxy's page"),
        httpx.Response(302, headers={"Location": "http://elsewhere/"}),
        httpx.Response(200, content=b"{"),
        httpx.Response(200, content=b'"\xff"'),
        httpx.Response(200, json=[1, 2, 3]),
        httpx.Response(429),
    ],
)
async def test_an_answer_that_is_none_is_no_answer(answer: httpx.Response) -> None:
    asked: list[str] = []

    def take(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer

    service = asking(take)
    with pytest.raises(Unavailable) as refused:
        await HttpDirectory(service).members(CHAT)
    assert not isinstance(refused.value, OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        await HttpDirectory(service).add_user(user(ANA), b"")
    assert asked == ["http://metadata/internal/members", "http://metadata/internal/add_user"]
    await service.close()


async def test_what_the_service_says_of_a_write_is_believed() -> None:
    def take(request: httpx.Request) -> httpx.Response:
        kind = "outcome-unknown" if "session" in str(request.url) else "unavailable"
        return httpx.Response(503, json={"type": f"/problems/{kind}", "detail": "away"})

    service = asking(take)
    with pytest.raises(Unavailable, match="away") as refused:
        await HttpDirectory(service).add_user(user(ANA), b"")
    assert not isinstance(refused.value, OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        await HttpSessions(service).start(session("one"))
    await service.close()


@pytest.mark.parametrize(
    ("lost", "reads", "writes"),
    [
        (httpx.ReadError, 3, 1),  # it may have arrived
        (httpx.RemoteProtocolError, 3, 1),
        (httpx.ConnectError, 3, 3),  # it has not
    ],
)
async def test_only_what_cannot_have_been_done_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, lost: type[httpx.TransportError], reads: int, writes: int
) -> None:
    monkeypatch.setattr(service_module, "WAIT_MAX_SECONDS", 0.0)
    asked = 0

    def take(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        raise lost("lost")

    service = asking(take)
    with pytest.raises(Unavailable):
        await HttpDirectory(service).members(CHAT)
    assert asked == reads
    asked = 0
    with pytest.raises(Unavailable) as refused:
        await HttpDirectory(service).add_user(user(ANA), b"")
    assert asked == writes
    assert isinstance(refused.value, OutcomeUnknown) == (writes == 1)
    await service.close()


async def test_a_lost_connection_is_not_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "WAIT_MAX_SECONDS", 0.0)
    answers: list[Any] = [httpx.ReadError("lost"), httpx.Response(200, json={"ana": "owner"})]

    def take(_: httpx.Request) -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: httpx.Response = answer
        return found

    service = asking(take)
    assert await HttpDirectory(service).members(CHAT) == {ANA: Role.OWNER}
    await service.close()


async def test_silence_ends_and_too_many_questions_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_module, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(service_module, "WAITING_MAX", 1)

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    service = asking(hang)
    waiting = asyncio.create_task(HttpDirectory(service).members(CHAT))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await HttpDirectory(service).members(CHAT)
    with pytest.raises(Unavailable, match="in time"):
        await waiting
    with pytest.raises(OutcomeUnknown):
        await HttpDirectory(service).add_user(user(ANA), b"")
    await service.close()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeOutbox:
    """Says what it is told to, after as many seconds as it is told."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.takes = 0.0
        self.pages: list[OutboxPage | Exception] = []
        self.asked: list[int | None] = []

    async def after(self, position: int | None) -> OutboxPage:
        self.asked.append(position)
        self.clock.now += self.takes
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page


class FakeDirectory:
    """Counts how often it is asked for members."""

    def __init__(self) -> None:
        self.asked = 0

    async def members(self, conversation: ConversationId) -> dict[Username, Role]:
        self.asked += 1
        return {ANA: Role.MEMBER}

    def __getattr__(self, name: str) -> Any:
        return None


def page(position: int, *entries: tuple[str, str], complete: bool = True) -> OutboxPage:
    found = [OutboxEntry(entry, Subject.MEMBERS, key) for entry, key in entries]
    return OutboxPage(position, found, complete)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def followed(clock: Clock) -> tuple[FakeOutbox, Following, FakeDirectory, FollowingDirectory]:
    outbox, asked = FakeOutbox(clock), FakeDirectory()
    following = Following(outbox, clock=clock)
    return outbox, following, asked, FollowingDirectory(asked, following)


async def test_what_is_remembered_is_good_for_5_s_from_when_the_poll_was_asked(
    followed: tuple[FakeOutbox, Following, FakeDirectory, FollowingDirectory], clock: Clock
) -> None:
    outbox, following, asked, directory = followed
    outbox.pages = [page(1), page(2), Unavailable("away")]
    with pytest.raises(Unavailable):
        await directory.members(CHAT)
    assert asked.asked == 0
    outbox.takes = 3.0
    await following.poll()  # asked at 100, answered at 103
    assert await directory.members(CHAT) == {ANA: Role.MEMBER}
    clock.now = 104.9
    assert await directory.members(CHAT) == {ANA: Role.MEMBER}
    clock.now = 105.0
    with pytest.raises(Unavailable):
        await directory.members(CHAT)
    outbox.takes = 0.0
    await following.poll()
    assert await directory.members(CHAT) == {ANA: Role.MEMBER}
    assert asked.asked == 1  # all that changed meanwhile is known: what was remembered holds again
    clock.now = 109.0
    with pytest.raises(Unavailable):
        await following.poll()
    await directory.members(CHAT)
    clock.now = 110.0
    with pytest.raises(Unavailable):
        await following.ping()
    assert outbox.asked == [None, 1, 2]


async def test_an_entry_is_heeded_once_though_it_comes_often(
    followed: tuple[FakeOutbox, Following, FakeDirectory, FollowingDirectory],
) -> None:
    outbox, following, asked, directory = followed
    outbox.pages = [
        page(1),
        page(2, ("a", CHAT)),
        page(3, ("a", CHAT)),
        page(4, ("a", CHAT), ("b", CHAT)),
        page(5, ("other", "another chat")),
        page(6, complete=False),
    ]
    loads = []
    while outbox.pages:
        await following.poll()
        await directory.members(CHAT)
        loads.append(asked.asked)
    assert loads == [1, 2, 2, 3, 3, 4]


async def test_other_subjects_are_not_forgotten(clock: Clock) -> None:
    class OneSession:
        asked = 0

        async def get(self, wanted: SessionId) -> Session:
            self.asked += 1
            return session(wanted)

    sessions = OneSession()
    outbox = FakeOutbox(clock)
    following = Following(outbox, clock=clock)
    remembering = FollowingSessions(sessions, following)  # type: ignore[arg-type]
    outbox.pages = [
        page(1),
        page(2, ("a", "one")),
        OutboxPage(3, [OutboxEntry("b", Subject.SESSION, "one")], complete=True),
    ]
    for expected in (1, 1, 2):
        await following.poll()
        assert await remembering.get(SessionId("one")) == session("one")
        assert sessions.asked == expected


async def test_polls_go_on_whatever_happens(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following_module, "POLL_EVERY_SECONDS", 0.0)
    outbox = FakeOutbox(clock)
    outbox.pages = [Unavailable("away"), Unavailable("away"), RuntimeError("odd"), page(7)]
    following = Following(outbox, clock=clock)
    with caplog.at_level(logging.WARNING):
        async with following.running(), asyncio.timeout(10):
            while outbox.pages:
                await asyncio.sleep(0.01)
            await following.ping()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the outbox cannot be followed"] * 2  # once for being away, once for the odd


async def test_a_poll_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following_module, "POLL_SECONDS", 0.01)

    class Hanging:
        async def after(self, position: int | None) -> OutboxPage:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(Unavailable, match="in time"):
        await Following(Hanging()).poll()


async def test_a_change_through_one_gateway_is_seen_by_another(
    endpoint: InternalEndpoint, place: Place
) -> None:
    services = [
        MetadataService("http://metadata", CREDENTIAL, transport=httpx.ASGITransport(endpoint))
        for _ in range(2)
    ]
    following = [Following(HttpOutbox(service)) for service in services]
    directories: Sequence[FollowingDirectory] = [
        FollowingDirectory(HttpDirectory(s), f) for s, f in zip(services, following, strict=True)
    ]
    for one in following:
        await one.poll()
    here, there = directories
    await here.add_user(user(ANA), b"")
    await here.add_user(user(BRUNO), b"")
    chat = await here.add_conversation(group(ANA))
    assert list(await there.members(chat.conversation_id)) == [ANA]
    await here.add_member(chat.conversation_id, BRUNO, Role.MEMBER)
    assert list(await here.members(chat.conversation_id)) == [ANA, BRUNO]
    assert list(await there.members(chat.conversation_id)) == [ANA]
    await following[1].poll()
    assert list(await there.members(chat.conversation_id)) == [ANA, BRUNO]
    for service in services:
        await service.close()


@pytest.mark.parametrize("credential", [None, "short", "x" * 31, "with spaces " * 5, "ü" * 40])
async def test_a_start_without_a_good_credential_is_refused(credential: str | None) -> None:
    settings = load_settings(service_credential=credential, database_url="sqlite:///x.db")
    for parts in (own_metadata(settings), asked_metadata(settings)):
        with pytest.raises(StartRefused, match="CHAT4ALL_SERVICE_CREDENTIAL") as refused:
            async with parts:
                raise AssertionError
        assert credential is None or credential not in str(refused.value)


async def test_a_start_without_a_database_is_refused() -> None:
    settings = load_settings(service_credential=CREDENTIAL)
    with pytest.raises(StartRefused, match="DATABASE_URL"):
        async with own_metadata(settings):
            raise AssertionError
