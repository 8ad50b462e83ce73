"""Every route that writes has a limit, in a table that no route is missing from."""

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx
import pytest

from chat4all.domain.errors import TooMany
from chat4all.domain.ids import SessionId, Username
from chat4all.domain.people import Session
from chat4all.http.limits import Limit, Limits, make_limits
from chat4all.http.rates import BY_ROUTE, RouteRates, limit_name
from chat4all.settings import load_settings
from tests.api.conftest import CHAT, Api, running
from tests.api.test_http import check_problem
from tests.clocks import Clock
from tests.unit.test_limits import how_many

pytestmark = pytest.mark.anyio

QUOTA = 2
READING = ("GET", "HEAD", "OPTIONS")
FORM = {"username": "bruno", "password": "test"}
SIGN_UP = {"username": "ana", "email": "u@example.com", "password": "long enough"}


def small_limits(**_: Any) -> Limits:
    """Return limits of two requests each, which never fill up again."""
    clock = Clock()
    return Limits(**{f.name: Limit(f.name, QUOTA, 3600, clock=clock) for f in fields(Limits)})


@dataclass
class Small:
    """Both services with small limits, which a test can fill up."""

    api: Api
    limits: Limits

    def fill_up(self) -> None:
        for field in fields(Limits):
            getattr(self.limits, field.name)._full_at.clear()


@pytest.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Small]:
    limits = small_limits()
    monkeypatch.setattr("chat4all.processes.policy.make_limits", lambda **_: limits)
    async with running(tmp_path / "data") as found:
        yield Small(found, limits)


def clients(api: Api) -> list[httpx.AsyncClient]:
    return [api.gateway, api.metadata]


async def described(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """Return every route of a service's description."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


@pytest.mark.thorough
async def test_the_table_has_every_route_that_writes(api: Api) -> None:
    routes = set[str]()
    for client in clients(api):
        routes |= set(await described(client))
    assert {route for route in routes if not route.startswith(READING)} <= set(BY_ROUTE)
    assert set(BY_ROUTE) <= routes
    assert set(BY_ROUTE.values()) < {field.name for field in fields(Limits)}


def test_a_route_that_is_missing_counts_if_it_writes() -> None:
    assert [limit_name(method, "/v1/new") for method in ("POST", "PUT", "PATCH", "DELETE")] == [
        "change"
    ] * 4
    assert [limit_name(method, "/v1/new") for method in READING] == [None] * 3
    assert limit_name("HEAD", "/v1/users") == "find"


async def test_the_description_says_that_they_are_limited(api: Api) -> None:
    for client in clients(api):
        for route, operation in (await described(client)).items():
            assert ("429" in operation["responses"]) == (route in BY_ROUTE), route


@pytest.mark.thorough
async def test_a_limited_route_is_refused_when_nothing_is_left(small: Small) -> None:
    names = {
        "conversation_id": CHAT,
        "username": "ana",
        "session_id": str(uuid.uuid4()),
        "message_id": str(uuid.uuid4()),
        "emoji": "👍",
        "file_id": CHAT,
    }
    tried = 0
    for client in clients(small.api):
        for route in set(BY_ROUTE) & set(await described(client)):
            small.fill_up()
            method, path = route.split(" ")
            sent: dict[str, Any] = {"json": {}} if method not in READING else {}
            if route == "POST /token":
                sent = {"data": FORM}
            elif route == "POST /v1/users":
                sent = {"json": SIGN_UP}
            else:
                sent["headers"] = {**await small.api.sign_in("bruno"), "Tus-Resumable": "1.0.0"}
            if route == "POST /v1/logout":  # which a session can do once
                for _ in range(QUOTA):
                    path_of_another = f"/v1/sessions/{uuid.uuid4()}"
                    await client.delete(path_of_another, headers=sent["headers"])
                allowed = 0
            else:
                allowed = QUOTA
            for _ in range(allowed):
                answer = await client.request(method, path.format(**names), **sent)
                assert answer.status_code != 429, route
            answer = await client.request(method, path.format(**names), **sent)
            problem = check_problem(answer, 429)
            assert problem["type"] == "/problems/too-many-requests"
            name = BY_ROUTE[route]
            assert f'"{name}";q={QUOTA};w=3600' in answer.headers["RateLimit-Policy"]
            assert f'"{name}";r=0;t=1800' in answer.headers["RateLimit"]
            assert 1 <= int(answer.headers["Retry-After"]) <= 1800
            tried += 1
    assert tried >= len(BY_ROUTE)


async def test_refreshing_is_limited_by_device(small: Small) -> None:
    tokens = (await small.api.gateway.post("/token", data=FORM)).json()
    small.fill_up()
    for _ in range(QUOTA):
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        answer = await small.api.gateway.post("/token", data=form)
        assert answer.status_code == 200
        tokens = answer.json()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = await small.api.gateway.post("/token", data=form)
    check_problem(answer, 429)
    assert '"refresh";r=0' in answer.headers["RateLimit"]


def test_users_and_sessions_do_not_use_up_each_others_requests() -> None:
    rates = RouteRates(small_limits())

    class Route:
        path = "/v1/users/{username}"

    def take(session: Session, method: str) -> None:
        rates.take({"method": method, "route": Route()}, session)

    one, other = (Session(SessionId(name), Username("bruno"), 0) for name in ("one", "other"))
    for _ in range(QUOTA):
        take(one, "PATCH")
    with pytest.raises(TooMany):
        take(one, "DELETE")
    take(other, "DELETE")


def fields_of(cell: str) -> set[str]:
    """Return the routes that a cell of the documentation names."""
    found = set[str]()
    for part in cell.split(";"):
        methods = re.findall(r"(GET|POST|PUT|PATCH|DELETE)", part)
        path = re.search(r"/[\w/{}]+", part)
        found |= {f"{method} {path[0]}" for method in methods if path}
    return found


def test_the_documentation_has_the_table() -> None:
    text = Path("docs/operations/limits.md").read_text()
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| `")]
    documented = {row[0].strip("| `"): fields_of(row[3]) for row in rows if len(row) == 4}
    by_limit: dict[str, set[str]] = {}
    for route, name in BY_ROUTE.items():
        by_limit.setdefault(name, set()).add(route)
    limits = small_limits()
    names = {"mark": "mark-read", "start": "start-conversation"}
    for name, routes in by_limit.items():
        assert hasattr(limits, name)
        assert documented[names.get(name, name.replace("_", "-"))] == routes


def test_what_a_user_may_do_at_once() -> None:
    settings = load_settings().people
    limits = make_limits(
        send_per_second=settings.send_per_second,
        sign_ups_per_hour=settings.sign_ups_per_hour,
        reads_per_second=settings.reads_per_second,
        conversations_per_hour=settings.conversations_per_hour,
        clock=Clock(),
    )
    assert [how_many(limit) for limit in (limits.mark, limits.start)] == [300, 200]


async def test_marking_and_starting_without_end_are_limited(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"reads_per_second": 1, "conversations_per_hour": 5}
    async with running(tmp_path / "data", **settings) as api:
        bruno = await api.sign_in("bruno")
        path = f"/v1/conversations/{CHAT}/read"
        marked = [await api.gateway.post(path, json={"seq": 0}, headers=bruno) for _ in range(60)]
        assert [answer.status_code for answer in marked[:30]] == [202] * 30
        assert marked[-1].status_code == 429
        new = {"type": "group", "members": []}
        path = "/v1/conversations"
        started = [await api.gateway.post(path, json=new, headers=bruno) for _ in range(6)]
        assert [answer.status_code for answer in started] == [201] * 5 + [429]


async def test_a_marker_that_is_there_costs_no_record(tmp_path: Path) -> None:
    path = f"/v1/conversations/{CHAT}/read"

    async def mark(api: Api, who: dict[str, str], seq: int) -> int:
        """Mark, and return how many records that cost."""
        before = await api.parts.log.end()
        answer = await api.gateway.post(path, json={"seq": seq}, headers=who)
        assert answer.status_code == 202
        return await api.parts.log.end() - before

    async with running(tmp_path / "data") as api:
        bruno, ana = await api.sign_in("bruno"), await api.sign_in("ana")
        for _ in range(3):
            await api.send(ana)
        await api.routed()
        assert [await mark(api, bruno, seq) for seq in (0, 2, 2, 1, 3, 3)] == [0, 1, 0, 0, 1, 0]
        # Sending moved the sender's own marker.
        assert await mark(api, ana, 3) == 0
        await api.routed()
    async with running(tmp_path / "data") as api:
        bruno = await api.sign_in("bruno")
        assert [await mark(api, bruno, seq) for seq in (3, 1)] == [0, 0]
