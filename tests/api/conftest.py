"""The whole one-machine system in this process, reached as clients reach it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.embedded import DataFolder
from chat4all.processes.one_machine import OneMachine, one_machine
from chat4all.settings import Settings
from tests.attached import FakePictures
from tests.databases import in_thread

CHAT = "550e8400-e29b-41d4-a716-446655440000"
ROUNDS = 4  # the least that bcrypt has: these tests are not about its cost


@dataclass
class Api:
    """Two clients, and the steps that tests have in common."""

    parts: OneMachine
    gateway: httpx.AsyncClient
    metadata: httpx.AsyncClient

    async def sign_in(self, username: str, password: str = "test") -> dict[str, str]:
        answer = await self.gateway.post(
            "/token", data={"username": username, "password": password}
        )
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def sign_up(self, username: str) -> dict[str, str]:
        body = {"username": username, "email": f"{username}@example.com", "password": "long enough"}
        answer = await self.metadata.post("/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        return await self.sign_in(username, "long enough")

    async def send(self, who: dict[str, str], content: str = "x", **more: Any) -> str:
        body = {"chat_id": CHAT, "content": content, **more}
        answer = await self.gateway.post("/v1/messages", json=body, headers=who)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["message_id"])

    async def history(self, who: dict[str, str], query: str = "", chat: str = CHAT) -> Any:
        answer = await self.gateway.get(f"/v1/conversations/{chat}/messages{query}", headers=who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def routed(self) -> None:
        """Return once everything that was accepted is stored."""
        end = await self.parts.log.end()
        async with asyncio.timeout(10):
            while self.parts.store.committed < end:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def running(folder: Path, *, new: bool = False, **settings: Any) -> AsyncIterator[Api]:
    """Run it in a folder; one that is not there is a copy of one that was started and stopped.

    That takes half the time of a first start, which is what a test gets that asks for a `new` one.
    """
    if not new:
        _copy(folder)
    passwords = BcryptPasswords(rounds=ROUNDS)
    try:
        with DataFolder(folder, patience=0) as data:
            settled = Settings(data=folder, **settings)
            async with one_machine(
                settled.one_machine, data, passwords=passwords, pictures=FakePictures()
            ) as parts:
                gateway = httpx.ASGITransport(parts.gateway)
                metadata = httpx.ASGITransport(parts.metadata)
                async with (
                    httpx.AsyncClient(transport=gateway, base_url="http://gateway") as one,
                    httpx.AsyncClient(transport=metadata, base_url="http://metadata") as two,
                ):
                    yield Api(parts, one, two)
    finally:
        passwords.close()


def _copy(folder: Path) -> None:
    if not folder.exists():
        shutil.copytree(Path(started_once().name) / "data", folder)


@cache
def started_once() -> "TemporaryDirectory[str]":
    """Return a folder with `data`, in which a system was started and stopped."""
    folder = TemporaryDirectory()

    async def run() -> None:
        async with running(Path(folder.name) / "data", new=True):
            pass

    in_thread(run)
    return folder


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path / "data") as found:
        yield found
