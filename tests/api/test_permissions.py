"""Every route of both descriptions, asked by everybody, with every kind of token.

A route that is missing in the table fails: a new route must say here who may use it.
"""

import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.api.conftest import Api, running
from tests.api.tus import OCTETS, PNG, RESUMABLE, Tus

pytestmark = pytest.mark.anyio

OWNER, ADMIN, MEMBER, EX_MEMBER, OUTSIDER = "olga", "adam", "mara", "exel", "otto"
ASKERS = (OWNER, ADMIN, MEMBER, EX_MEMBER, OUTSIDER)
VICTIM, NEWCOMER = "vera", "nico"
"""A member of no role, and somebody who is not in it, to whom things are done."""


@dataclass
class Group:
    """A group of its own for each case: cases must not affect one another."""

    chat: str
    message: str
    file: str
    """That of the message, which is its owner's."""


@dataclass
class Case:
    """A request, and how it is answered to each of `ASKERS`; one number: to everybody alike."""

    expected: int | tuple[int, int, int, int, int]
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False
    """Whether nobody need be signed in."""

    def to(self, asker: str) -> int:
        if isinstance(self.expected, int):
            return self.expected
        return self.expected[ASKERS.index(asker)]


def case(expected: int | tuple[int, int, int, int, int], body: Any = None, **names: str) -> Case:
    return Case(expected, names, body)


def open_to_all(status: int, body: Any = None, form: Mapping[str, str] | None = None) -> Case:
    return Case(status, body=body, form=form, is_open=True)


def of_tus(expected: int | tuple[int, int, int, int, int], **headers: str) -> Case:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(expected, headers=RESUMABLE | named)


IN_IT = (200, 200, 200, 404, 404)
"""Whoever is in the conversation; to others it does not exist."""

OWN = "(the asker)"
"""In the place of a username: whoever asks."""

TABLE: dict[str, list[Case]] = {
    "GET /health": [open_to_all(200)],
    "GET /health/live": [open_to_all(200)],
    "GET /health/ready": [open_to_all(200)],
    "GET /metrics": [open_to_all(200)],
    "POST /token": [open_to_all(200, form={"username": VICTIM, "password": "long enough"})],
    "POST /v1/users": [
        open_to_all(
            201, {"username": "(new)", "email": "(new)@example.com", "password": "long enough"}
        )
    ],
    "POST /v1/logout": [case(204)],
    "GET /v1/sessions": [case(200)],
    "DELETE /v1/sessions/{session_id}": [case(404, session_id=str(uuid.uuid4()))],
    "GET /v1/me": [case(200)],
    "GET /v1/users": [case(200)],
    "GET /v1/users/{username}": [case(200, username=VICTIM), case(200, username=OWN)],
    "PATCH /v1/users/{username}": [
        case(403, {"display_name": "x"}, username=VICTIM),
        case(403, {"display_name": "x"}, username="nobody"),
        case(200, {"display_name": "x"}, username=OWN),
    ],
    "DELETE /v1/users/{username}": [case(403, username=VICTIM), case(403, username="nobody")],
    "GET /v1/conversations": [case(200)],
    "POST /v1/conversations": [case(201, {"type": "group", "members": [VICTIM]})],
    "GET /v1/conversations/{conversation_id}": [case(IN_IT)],
    "PATCH /v1/conversations/{conversation_id}": [case((200, 200, 403, 404, 404), {"title": "x"})],
    "DELETE /v1/conversations/{conversation_id}": [case((204, 403, 403, 404, 404))],
    "GET /v1/conversations/{conversation_id}/members": [case(IN_IT)],
    "POST /v1/conversations/{conversation_id}/members": [
        case((201, 201, 403, 404, 404), {"username": NEWCOMER}),
        case((201, 403, 403, 404, 404), {"username": NEWCOMER, "role": "admin"}),
        case((409, 409, 403, 404, 404), {"username": VICTIM}),
    ],
    "PATCH /v1/conversations/{conversation_id}/members/{username}": [
        case((200, 403, 403, 404, 404), {"role": "admin"}, username=VICTIM),
        case((404, 403, 403, 404, 404), {"role": "admin"}, username=NEWCOMER),
        case((409, 403, 403, 404, 404), {"role": "member"}, username=OWN),
    ],
    "DELETE /v1/conversations/{conversation_id}/members/{username}": [
        case((204, 204, 403, 404, 404), username=VICTIM),
        case((404, 404, 404, 404, 404), username=NEWCOMER),
        case((409, 403, 403, 404, 404), username=OWNER),
        case((409, 204, 204, 404, 404), username=OWN),
    ],
    "POST /v1/messages": [case((202, 202, 202, 404, 404), {"chat_id": "(chat)", "content": "x"})],
    "GET /v1/conversations/{conversation_id}/messages": [case(IN_IT)],
    "GET /v1/conversations/{conversation_id}/messages/{message_id}": [case(IN_IT)],
    "PATCH /v1/conversations/{conversation_id}/messages/{message_id}": [
        case((202, 403, 403, 404, 404), {"content": "x"}),  # it is the owner's
    ],
    "DELETE /v1/conversations/{conversation_id}/messages/{message_id}": [
        case((202, 202, 403, 404, 404)),
    ],
    "GET /v1/conversations/{conversation_id}/messages/{message_id}/edits": [
        case((200, 200, 403, 404, 404)),
    ],
    "GET /v1/conversations/{conversation_id}/messages/{message_id}/reactions": [case(IN_IT)],
    "PUT /v1/conversations/{conversation_id}/messages/{message_id}/reactions/{emoji}": [
        case((202, 202, 202, 404, 404), emoji="👍"),
    ],
    "DELETE /v1/conversations/{conversation_id}/messages/{message_id}/reactions/{emoji}": [
        case((202, 202, 202, 404, 404), emoji="👍"),
    ],
    "GET /v1/conversations/{conversation_id}/receipts": [case(IN_IT)],
    "POST /v1/conversations/{conversation_id}/read": [case((202, 202, 202, 404, 404), {"seq": 0})],
    "OPTIONS /v1/files": [open_to_all(204)],
    "GET /v1/files": [case(200)],
    "POST /v1/files": [of_tus(201, Upload_Length="5")],
    # No client reaches the store of one machine.
    "POST /v1/files/initiate": [case(501, {"size": 5})],
    "GET /v1/files/{file_id}/parts": [case(501)],
    "POST /v1/files/{file_id}/complete": [case(501, {"parts": []})],
    "OPTIONS /v1/files/{file_id}": [open_to_all(204)],
    "GET /v1/files/{file_id}": [case(IN_IT)],
    "GET /v1/files/{file_id}/thumbnail": [case(IN_IT)],
    "POST /v1/files/{file_id}/link": [case(IN_IT)],
    "PATCH /v1/files/{file_id}": [of_tus((409, 404, 404, 404, 404), Upload_Offset="0", **OCTETS)],
    "DELETE /v1/files/{file_id}": [of_tus((409, 404, 404, 404, 404))],  # a message names it
}
"""Who may use each route of the two descriptions."""


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def unsigned(claims: Mapping[str, Any]) -> str:
    header = b64(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return f"{header}.{b64(json.dumps(claims).encode())}."


def swapped(claims: Mapping[str, Any]) -> dict[str, str]:
    """Return one signed with RSA, and one with HMAC under that key's public part."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = jwt.encode(dict(claims), key, "RS256")
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = f"{head}.{b64(json.dumps(claims).encode())}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        body.encode(), public
    )
    return {"RS256": signed, "HS256 under a public key": f"{body}.{b64(mac)}"}


def bad_tokens(good: str, revoked: str, secret: bytes) -> dict[str, str | None]:
    """Return every kind of invalid token, and no token."""
    claims = claims_of(good)

    def signed(key: bytes = secret, **changed: Any) -> str:
        kept = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode(kept, key, "HS256")

    return {
        "none": None,
        "empty": "",
        "garbage": "x.y.z",
        "expired": signed(exp=int(time.time()) - 1),
        "alg none": unsigned(claims),
        **swapped(claims),
        "wrong key": signed(b"k" * 32),
        "HS384": jwt.encode(claims, secret, "HS384"),
        "wrong iss": signed(iss="somebody"),
        "wrong aud": signed(aud="somebody"),
        "no jti": signed(jti=None),
        "no exp": signed(exp=None),
        "another's session": signed(sub=OUTSIDER if claims["sub"] != OUTSIDER else OWNER),
        "no session": signed(jti=str(uuid.uuid4())),
        "revoked": revoked,
        "one letter changed": good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
    }


@dataclass
class World:
    """A running system and people in it."""

    api: Api
    secret: bytes
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: int = 0
    kept: Group | None = None

    async def group(self) -> Group:
        """Make a group that everybody of `ASKERS` stands in as their names say."""
        gateway, owner = self.api.gateway, self.tokens[OWNER]
        new = {"type": "group", "members": [ADMIN, MEMBER, EX_MEMBER, VICTIM]}
        made = await gateway.post("/v1/conversations", json=new, headers=owner)
        path = f"/v1/conversations/{made.json()['conversation_id']}"
        answers = [
            await gateway.patch(f"{path}/members/{ADMIN}", json={"role": "admin"}, headers=owner),
            await gateway.delete(f"{path}/members/{EX_MEMBER}", headers=self.tokens[EX_MEMBER]),
        ]
        assert [answer.status_code for answer in answers] == [200, 204]
        file_id = (await Tus(self.api, owner).upload(PNG)).rpartition("/")[2]
        message = await self.api.send(
            owner,
            chat_id=made.json()["conversation_id"],
            kind="image",
            payload={"file_id": file_id},
        )
        await self.api.routed()
        return Group(made.json()["conversation_id"], message, file_id)

    async def ask(
        self,
        client: httpx.AsyncClient,
        route: str,
        asked: Case,
        headers: Any,
        asker: str = "",
        *,
        is_refused: bool = False,
    ) -> httpx.Response:
        """Send a case's request, about a group of its own.

        One group is enough for those that change nothing: because they only read, or are refused.
        """
        method, path = route.split(" ")
        group = None
        if "(chat)" in str(asked.body) or "{conv" in route or "{file" in route:
            if not is_refused and method != "GET":
                group = await self.group()
            else:
                self.kept = group = self.kept or await self.group()
        names = {name: asker if value == OWN else value for name, value in asked.parameters.items()}
        if group is not None:
            names |= {
                "conversation_id": group.chat,
                "message_id": group.message,
                "file_id": group.file,
            }
        body = asked.body
        if body is not None:
            self.numbers += 1
            text = json.dumps(body).replace("(new)", f"new{self.numbers}")
            body = json.loads(text.replace("(chat)", group.chat if group else ""))
        return await client.request(
            method,
            path.format(**names),
            json=body,
            data=asked.form,
            headers={**asked.headers, **headers},
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path / "data", rate_limits=False) as api:
        found = World(api, (tmp_path / "data" / "secret-key").read_bytes().strip())
        for name in (*ASKERS, VICTIM, NEWCOMER):
            found.tokens[name] = await api.sign_up(name)
        yield found


async def routes_of(client: httpx.AsyncClient) -> set[str]:
    described = (await client.get("/openapi.json")).json()
    return {
        f"{method.upper()} {path}"
        for path, operations in described["paths"].items()
        for method in operations
    }


async def services(world: World) -> list[tuple[httpx.AsyncClient, set[str]]]:
    clients = (world.api.gateway, world.api.metadata)
    return [(client, await routes_of(client)) for client in clients]


@pytest.mark.thorough
async def test_every_route_says_who_may_use_it(world: World) -> None:
    described = set[str]().union(*[routes for _, routes in await services(world)])
    assert described == set(TABLE)


@pytest.mark.thorough
@pytest.mark.parametrize("service", [0, 1], ids=["gateway", "metadata"])
async def test_everybody_may_do_what_the_table_says(world: World, service: int) -> None:
    client, routes = (await services(world))[service]
    wrong = []
    for route in sorted(routes):
        for asked in TABLE[route]:
            for asker in ASKERS:
                headers = world.tokens[asker]
                if route == "POST /v1/logout":
                    headers = await world.api.sign_in(asker, "long enough")
                answer = await world.ask(client, route, asked, headers, asker)
                if answer.status_code != asked.to(asker):
                    wrong.append((route, asker, asked.to(asker), answer.status_code, answer.text))
    assert wrong == []


@pytest.mark.thorough
@pytest.mark.parametrize("service", [0, 1], ids=["gateway", "metadata"])
async def test_no_token_but_a_good_one_opens_anything(world: World, service: int) -> None:
    client, routes = (await services(world))[service]
    ended = await world.api.sign_in(OWNER, "long enough")
    assert (await world.api.gateway.post("/v1/logout", headers=ended)).status_code == 204
    good = world.tokens[OWNER]["Authorization"].removeprefix("Bearer ")
    tokens = bad_tokens(good, ended["Authorization"].removeprefix("Bearer "), world.secret)
    wrong = []
    for route in sorted(routes):
        asked = TABLE[route][0]
        for kind, token in tokens.items():
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            expected = asked.to(OWNER) if asked.is_open else 401
            answer = await world.ask(
                client, route, asked, headers, OWNER, is_refused=expected == 401
            )
            if answer.status_code != expected:
                wrong.append((route, kind, answer.status_code))
            elif expected == 401 and answer.headers["WWW-Authenticate"] != "Bearer":
                wrong.append((route, kind, 0))
    assert wrong == []


async def test_the_real_key_signs(world: World) -> None:
    """The forged tokens above are refused for what is wrong with them, not for their key."""
    good = world.tokens[OWNER]["Authorization"].removeprefix("Bearer ")
    again = jwt.encode(claims_of(good), world.secret, "HS256")
    answer = await world.api.gateway.get("/v1/me", headers={"Authorization": f"Bearer {again}"})
    assert answer.status_code == 200


async def test_an_erased_user_may_do_nothing(world: World) -> None:
    bruno = await world.api.sign_in("bruno")
    for asker in ASKERS:
        path = f"/v1/users/{asker}"
        answer = await world.api.gateway.delete(path, headers=world.tokens[asker])
        assert answer.status_code == 204
        assert (await world.api.gateway.get(path, headers=bruno)).status_code == 404
        form = {"username": asker, "password": "long enough"}
        assert (await world.api.gateway.post("/token", data=form)).status_code == 401
