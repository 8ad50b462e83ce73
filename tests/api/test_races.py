"""Requests that are overtaken between their check and their write.

Hashing takes a while: here it takes until a test lets it go on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql import Database, SqlUsers
from chat4all.domain.ids import Username
from chat4all.domain.people import UserChanges
from tests.api.conftest import Api, running

pytestmark = pytest.mark.anyio

BRUNO = Username("bruno")
OLD = "test"


class Gate:
    """Stops calls of one of the hashing methods after their work, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str, stops: int) -> None:
        self._go = asyncio.Event()
        self._all_here = asyncio.Event()
        original = getattr(BcryptPasswords, method)

        async def stopping(passwords: BcryptPasswords, *given: object) -> object:
            nonlocal stops
            result = await original(passwords, *given)
            stops -= 1
            if stops == 0:
                self._all_here.set()
            if stops >= 0:
                await self._go.wait()
            return result

        monkeypatch.setattr(BcryptPasswords, method, stopping)

    async def reached(self) -> None:
        async with asyncio.timeout(10):
            await self._all_here.wait()

    def open(self) -> None:
        self._go.set()


def new_password(api: Api, who: dict[str, str], password: str) -> Awaitable[httpx.Response]:
    change = {"password": password, "current_password": OLD}
    return api.gateway.patch("/v1/users/bruno", json=change, headers=who)


async def sign_in(api: Api, password: str) -> int:
    form = {"username": "bruno", "password": password}
    return (await api.gateway.post("/token", data=form)).status_code


async def test_of_two_password_changes_at_once_one_wins(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [await api.sign_in("bruno") for _ in range(2)]
    gate = Gate(monkeypatch, "hash", stops=2)
    passwords = ["the first one", "the second one"]
    changes = [
        asyncio.create_task(_awaited(new_password(api, who, password)))
        for who, password in zip(sessions, passwords, strict=True)
    ]
    await gate.reached()
    gate.open()
    statuses = [answer.status_code for answer in await asyncio.gather(*changes)]
    assert sorted(statuses) == [200, 401]
    won = statuses.index(200)
    assert [await sign_in(api, password) for password in passwords] == [
        200 if number == won else 401 for number in range(2)
    ]
    assert await sign_in(api, OLD) == 401


Act = Callable[[SqlUsers], Awaitable[object]]


async def _new_hash(users: SqlUsers) -> None:
    passwords = BcryptPasswords(rounds=4)
    try:
        hashed = await passwords.hash("the operator's")
    finally:
        passwords.close()
    await users.change_user(BRUNO, UserChanges(password_hash=hashed))


OPERATOR: dict[str, Act] = {
    "passwd": _new_hash,
    "disable": lambda users: users.disable_user(BRUNO),
    "erase": lambda users: users.erase_user(BRUNO),
}


@pytest.mark.thorough
@pytest.mark.parametrize("what", OPERATOR)
@pytest.mark.parametrize("request_is", ["sign-in", "new password", "new e-mail"])
async def test_an_operator_is_not_overtaken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, request_is: str
) -> None:
    """Whatever a request had checked before: it starts no session and changes nothing."""
    async with running(tmp_path / "data") as api:
        bruno = await api.sign_in("bruno")
        # The operator's command is another process: on a file of its own.
        database = Database(tmp_path / "data" / "metadata.db")
        gate = Gate(monkeypatch, "hash" if request_is == "new password" else "verify", stops=1)
        asked: Awaitable[httpx.Response]
        if request_is == "sign-in":
            asked = api.gateway.post("/token", data={"username": "bruno", "password": OLD})
        elif request_is == "new password":
            asked = new_password(api, bruno, "my own new one")
        else:
            change = {"email": "x@y.org", "password": "a long one", "current_password": OLD}
            asked = api.gateway.patch("/v1/users/bruno", json=change, headers=bruno)
        request = asyncio.create_task(_awaited(asked))
        await gate.reached()
        await OPERATOR[what](SqlUsers(database))
        gate.open()
        assert (await request).status_code == 401
        assert await sign_in(api, "my own new one") == 401
        found = await SqlUsers(database).user(BRUNO)
        assert found is None or found.email == "bruno@example.com"
        await database.close()


async def _awaited(request: Awaitable[httpx.Response]) -> httpx.Response:
    return await request
