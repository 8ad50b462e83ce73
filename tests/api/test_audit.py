"""The audit says who really did what: the user, their session and address, or the operator."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, String, text

from chat4all.adapters.metadata_http import MetadataService, http_people
from chat4all.adapters.sql import AuditEntry, Database, SqlAudit, SqlOutbox, sql_people, tables
from chat4all.adapters.sql.audit import append_audit_entry
from chat4all.domain import acting
from chat4all.domain.acting import NO_LOGIN, Actor, act_as, current_actor, system_account
from chat4all.domain.errors import AlreadyTaken, NotAllowed, NotFound, Unavailable
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.people import Role, UserChanges
from chat4all.metadata import InternalEndpoint
from chat4all.ports.people import PeoplePorts
from chat4all.wire.internal import decode_actor, encode_actor
from tests.api.conftest import CHAT, Api, running
from tests.api.test_limits import from_address
from tests.api.test_operators import done, entries
from tests.api.test_sessions import refresh, sign_in
from tests.contract.test_directory import ANA, BRUNO, group, user
from tests.contract.test_sessions import refreshed, session
from tests.databases import place_at
from tests.metadata_service import CREDENTIAL, serving

pytestmark = pytest.mark.anyio

HOST = "192.0.2.7"


async def audited(folder: Path) -> list[AuditEntry]:
    """Return all entries, oldest first."""
    database = Database(folder / "metadata.db")
    found = await SqlAudit(database).newest(1_000)
    await database.close()
    return list(reversed(found))


async def sessions_of(api: Api, who: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.gateway.get("/v1/sessions", headers=who)).json()
    return found


async def test_everything_that_a_user_does_names_session_and_address(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        before = len(await audited(folder))
        async with from_address(api, HOST) as client:

            async def ask(method: str, path: str, status: int, body: Any = None) -> Any:
                answer = await client.request(method, path, json=body, headers=carla)
                assert answer.status_code == status, (path, answer.text)
                return answer.json() if answer.content else None

            carla: dict[str, str] = {}
            new = {"username": "carla", "email": "c@example.com", "password": "long enough"}
            await ask("POST", "/v1/users", 201, new)
            form = {"username": "carla", "password": "long enough"}
            tokens = (await client.post("/token", data=form)).json()
            carla = {"Authorization": f"Bearer {tokens['access_token']}"}
            (own,) = await sessions_of(api, carla)
            second = (await client.post("/token", data=form)).json()
            chat = (await ask("POST", "/v1/conversations", 201, {"type": "group", "members": []}))[
                "conversation_id"
            ]
            path = f"/v1/conversations/{chat}"
            await ask("POST", f"{path}/members", 201, {"username": "ana"})
            await ask("PATCH", f"{path}/members/ana", 200, {"role": "admin"})
            await ask("PATCH", path, 200, {"title": "x"})
            await ask("DELETE", f"{path}/members/ana", 204)
            await ask("DELETE", path, 204)
            me = "/v1/users/carla"
            await ask("PATCH", me, 200, {"display_name": "C"})
            change = {"password": "longer than that", "current_password": "long enough"}
            await ask("PATCH", me, 200, change)
            assert (await sessions_of(api, carla))[0]["session_id"] == own["session_id"]
            await ask("POST", "/v1/logout", 204)
        assert second["access_token"]
        found = (await audited(folder))[before:]
    assert [(e.actor, e.action, e.username) for e in found] == [
        ("carla", "user-created", "carla"),
        ("carla", "signed-in", "carla"),
        ("carla", "signed-in", "carla"),
        ("carla", "conversation-created", None),
        ("carla", "member-added", "ana"),
        ("carla", "role-given", "ana"),
        ("carla", "conversation-changed", None),
        ("carla", "member-removed", "ana"),
        ("carla", "conversation-deleted", None),
        ("carla", "profile-changed", "carla"),
        ("carla", "password-changed", "carla"),
        ("carla", "session-ended", "carla"),
    ]
    assert {e.address for e in found} == {HOST}
    assert {e.operator for e in found} == {None}
    assert [e.session_id for e in found[:2]] == [None, own["session_id"]]
    assert found[2].session_id not in (None, own["session_id"])
    assert {e.session_id for e in found[3:]} == {own["session_id"]}
    assert [e.conversation_id for e in found[3:9]] == [chat] * 6
    assert found[3].details == {"type": "group", "members": "1"}
    assert found[9].details == {"fields": "display_name"}
    assert found[10].details == {"sessions_ended": "1"}
    assert found[11].details == {"session": own["session_id"]}


@pytest.mark.thorough
async def test_what_is_refused_is_not_noted(api: Api, tmp_path: Path) -> None:
    ana, before = await api.sign_in("ana"), len(await audited(tmp_path / "data"))
    for method, path, body in (
        ("PATCH", f"/v1/conversations/{CHAT}", {"title": "x"}),
        ("DELETE", f"/v1/conversations/{CHAT}/members/bruno", None),
        ("POST", "/v1/users", {"username": "ana", "email": "x@e.org", "password": "12345678"}),
    ):
        answer = await api.gateway.request(method, path, json=body, headers=ana)
        assert 400 <= answer.status_code < 500
    assert len(await audited(tmp_path / "data")) == before


async def test_who_was_erased_leaves_neither_name_nor_address(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        bruno = await api.sign_in("bruno")
        other = await api.sign_in("ana")
        await api.gateway.post(
            "/v1/conversations", json={"type": "group", "members": []}, headers=bruno
        )
        await api.gateway.delete("/v1/users/bruno", headers=bruno)
        assert (await api.gateway.get("/v1/me", headers=other)).status_code == 200
    found = await audited(folder)
    assert "bruno" not in {e.actor for e in found} | {e.username for e in found}
    (erased,) = [e for e in found if e.action == "user-erased"]
    assert erased.details == {"memberships": "2", "sessions_ended": "1"}
    of_alias = [e for e in found if e.actor == erased.username]
    assert {(e.session_id, e.address) for e in of_alias} == {(None, None)}
    # What became of the groups was done by the same hand.
    assert [e.action for e in of_alias if e.conversation_id][-2:] in (
        ["conversation-deleted", "role-inherited"],
        ["role-inherited", "conversation-deleted"],
    )
    assert {e.address for e in found if e.actor == "ana" and e.action == "signed-in"} == {
        "127.0.0.1"
    }


THIEF = "198.51.100.66"


async def test_a_stolen_refresh_token_is_noted_with_its_user_until_they_are_erased(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        bruno, stolen = await api.sign_in("bruno"), await sign_in(api)
        (own,) = [one for one in await sessions_of(api, bruno) if not one["current"]]
        following = (await refresh(api, stolen["refresh_token"])).json()
        await refresh(api, following["refresh_token"])
        form = {"grant_type": "refresh_token", "refresh_token": stolen["refresh_token"]}
        async with from_address(api, THIEF) as thief:
            assert (await thief.post("/token", data=form)).status_code == 400
        (ended,) = [e for e in await audited(folder) if e.action == "session-ended"]
        assert (ended.actor, ended.operator, ended.address) == ("bruno", None, THIEF)
        assert ended.details["session"] == own["session_id"]
        await api.gateway.delete("/v1/users/bruno", headers=bruno)
    (ended,) = [e for e in await audited(folder) if e.action == "session-ended"]
    assert ended.actor == ended.username
    assert (ended.session_id, ended.address) == (None, None)
    assert ended.details == {"why": "a spent refresh token came again"}


def _end_by_nobody(connection: Connection, username: Username) -> None:
    details = {"session": "s1", "why": "a spent refresh token came again"}
    by = Actor(address=THIEF)
    append_audit_entry(connection, by, "session-ended", username=username, details=details)


async def test_erasing_also_blanks_what_named_nobody(tmp_path: Path) -> None:
    """As earlier releases noted a stolen refresh token."""
    async with place_at(tmp_path / "metadata.db") as place:
        people, audit = sql_people(place.database), SqlAudit(place.database)
        for name in (ANA, BRUNO):
            await people.users.add_user(user(name), b"")
            await place.database.write(partial(_end_by_nobody, username=name))
        await people.users.erase_user(ANA)
        found = [e for e in await audit.newest(10) if e.action == "session-ended"]
    assert {(e.username == "bruno", e.address, e.details.get("session")) for e in found} == {
        (True, THIEF, "s1"),
        (False, None, None),
    }


@pytest.mark.thorough
async def test_an_operator_is_named_by_the_account_of_the_system(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        pass
    await done(folder, "disable", "ana")
    await done(folder, "passwd", "ana", "--password-stdin", stdin="another long one\n")
    noted = await entries(folder, "--limit", "2")
    assert [(e["actor"], e["operator"], e["address"]) for e in noted] == [
        ("operator", system_account(), None)
    ] * 2
    line = (await done(folder, "audit", "--limit", "1")).split()
    assert line[1:4] == [f"operator:{system_account()}", "password-changed", "ana"]


async def test_lines_have_address_and_session(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as api:
        await api.sign_in("ana")
    (entry,) = await entries(folder, "--limit", "1")
    (line,) = (await done(folder, "audit", "--limit", "1")).splitlines()
    assert line.split()[1:] == [
        "ana",
        "signed-in",
        "ana",
        f"by_session={entry['session_id']}",
        "from=127.0.0.1",
    ]


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which the kernel says who logged in: nobody did."""
    file = tmp_path / "loginuid"
    file.write_text(str(NO_LOGIN))
    monkeypatch.setattr(acting, "LOGIN_UID", file)
    return file


@pytest.mark.usefixtures("login")
def test_an_account_without_a_name_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("os.getuid", lambda: 10_001)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setenv("SUDO_USER", "maria")  # which only root's word makes true
    assert system_account() == "uid-10001"
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert system_account() == "maria-as-uid-0"


def test_who_logged_in_is_named_whatever_account_runs_the_command(
    login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `runuser -u chat4all` all operators run it by one account."""
    names = {0: "root", 998: "chat4all", 1_000: "maria"}
    monkeypatch.setattr("pwd.getpwuid", lambda uid: SimpleNamespace(pw_name=names[uid]))
    monkeypatch.setenv("SUDO_USER", "joana")  # anybody may set it
    for uid, logged_in, account in (
        (998, "1000", "maria-as-chat4all"),
        (0, "1000", "maria-as-root"),
        (998, "0", "root-as-chat4all"),
        (998, "998", "chat4all"),
        (998, str(NO_LOGIN), "chat4all"),
        (0, str(NO_LOGIN), "joana-as-root"),
        (0, "", "joana-as-root"),
        (998, "1001", "uid-1001-as-chat4all"),
    ):
        monkeypatch.setattr("os.getuid", lambda uid=uid: uid)
        login.write_text(logged_in)
        assert system_account() == account
    login.unlink()  # as on macOS
    assert system_account() == "chat4all"


@pytest.mark.usefixtures("login")
def test_a_long_account_fits_into_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL refuses a longer text than its column has room for, and one that is not UTF-8."""
    room = tables.audit.c.operator.type
    assert isinstance(room, String)
    monkeypatch.setattr("os.getuid", lambda: 0)
    for asked in ("maria.da.silva@engineering.example.com" * 3, "m\udce9lanie"):
        monkeypatch.setenv("SUDO_USER", asked)
        account = system_account()
        assert account.encode()
        assert room.length is not None
        assert 10 < len(account) <= room.length
        assert account[0] == "m"


# Through a gateway.


@asynccontextmanager
async def through_a_gateway(folder: Path) -> AsyncIterator[tuple[PeoplePorts, SqlAudit]]:
    """Yield the people of a metadata service over a network, and its audit."""
    async with place_at(folder / "metadata.db") as place:
        own, outbox = sql_people(place.database), SqlOutbox(place.database)
        async with serving(InternalEndpoint(CREDENTIAL.encode(), own, outbox)) as url:
            service = MetadataService(url, CREDENTIAL)
            yield http_people(service), SqlAudit(place.database)
            await service.close()


CLIENT = Actor(BRUNO, SessionId("s1"), HOST)


async def test_through_a_gateway_it_is_the_client_and_not_the_gateway(tmp_path: Path) -> None:
    async with through_a_gateway(tmp_path) as (people, audit):
        act_as(Actor(address=HOST))
        for name in (ANA, BRUNO):
            await people.users.add_user(user(name), b"")
        await people.sessions.start(replace(session("s1"), username=BRUNO), refreshed())
        act_as(CLIENT)
        chat = (await people.directory.add_conversation(group(BRUNO))).conversation_id
        await people.directory.add_member(chat, ANA, Role.MEMBER, BRUNO)
        await people.directory.remove_member(chat, ANA, BRUNO)
        await people.users.change_user(BRUNO, UserChanges(password_hash=b"x"), SessionId("s1"))
        await people.sessions.end(SessionId("s1"), BRUNO)
        found = list(reversed(await audit.newest(100)))
    assert [(e.actor, e.action, e.session_id) for e in found] == [
        ("ana", "user-created", None),
        ("bruno", "user-created", None),
        ("bruno", "signed-in", "s1"),
        ("bruno", "conversation-created", "s1"),
        ("bruno", "member-added", "s1"),
        ("bruno", "member-removed", "s1"),
        ("bruno", "password-changed", "s1"),
        ("bruno", "session-ended", "s1"),
    ]
    assert {e.address for e in found} == {HOST}


@pytest.mark.parametrize(
    "actor", [CLIENT, Actor(), Actor(address="fe80::1%eth0"), Actor(Username("é\r\n 🎉"))]
)
def test_an_actor_travels_in_a_header(actor: Actor) -> None:
    header = encode_actor(actor)
    assert header.isascii()
    assert header.isprintable()
    assert decode_actor(header.encode()) == actor


@pytest.mark.parametrize("header", [b"", b"x", b"[]", b"%FF", b'{"username": 1}'])
def test_a_header_that_is_none_names_nobody(header: bytes) -> None:
    assert decode_actor(header) == Actor()


def test_no_gateway_makes_an_operator() -> None:
    operator = Actor(operator="root")
    assert decode_actor(encode_actor(operator).encode()) == Actor()


# In the transaction of the act.

Act = Callable[[PeoplePorts], Awaitable[object]]
NOBODY = Username("nobody")
CONVERSATION = ConversationId(CHAT)

REFUSED: list[Act] = [
    lambda p: p.users.add_user(user(ANA), b""),
    lambda p: p.users.change_user(NOBODY, UserChanges(display_name="x")),
    lambda p: p.users.erase_user(NOBODY),
    lambda p: p.directory.add_member(CONVERSATION, ANA, Role.MEMBER, ANA),
    lambda p: p.directory.delete_conversation(CONVERSATION, ANA),
    lambda p: p.sessions.end(SessionId("none"), ANA),
]


async def test_an_entry_is_there_exactly_if_its_act_is(tmp_path: Path) -> None:
    async with place_at(tmp_path / "metadata.db") as place:
        people, audit = sql_people(place.database), SqlAudit(place.database)
        await people.users.add_user(user(ANA), b"")
        for act in REFUSED:
            with pytest.raises((AlreadyTaken, NotFound, NotAllowed)):
                await act(people)
        assert [e.action for e in await audit.newest(10)] == ["user-created"]
        # Where the entry cannot be written, nothing is done.
        await place.database.write(lambda c: c.execute(text("DROP TABLE audit")))
        for done_now in (
            people.users.add_user(user(BRUNO), b""),
            people.sessions.start(session("s1"), refreshed()),
            people.directory.add_conversation(group(ANA)),
        ):
            with pytest.raises(Unavailable, match="audit"):
                await done_now
        assert await people.users.user(BRUNO) is None
        assert await people.sessions.of_user(ANA) == []
        assert await people.memberships.of_user(ANA) == []


async def test_each_task_acts_for_itself() -> None:
    async def act(name: str) -> Actor:
        act_as(Actor(Username(name)))
        await asyncio.sleep(0)
        return current_actor()

    names = [f"u{number}" for number in range(5)]
    assert [a.username for a in await asyncio.gather(*map(act, names))] == names
