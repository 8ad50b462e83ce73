"""The whole one-machine system in this process, served on a port, and clients of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chat4all.client import Client, socket
from tests.api.conftest import Api, running
from tests.input.servers import Running, serving

PACE = 0.01

SILENCE = 60.0
"""Seconds without a word of the server after which its connection is taken for lost: longer than a
busy machine may say nothing. What changes in a conversation while nobody listens is not told."""


@dataclass
class Served:
    """The system, its server, and its address."""

    api: Api
    server: Running
    url: str

    def client(self, username: str = "ana", **more: object) -> Client:
        """Return a client of one of the two who are there, without long waits."""
        client = Client(self.url, username, "test", **more)  # type: ignore[arg-type]
        client._pace.factor = PACE
        return client


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(socket, "SILENCE_SECONDS", SILENCE / PACE)
    async with (
        running(tmp_path / "data", rate_limits="off") as api,
        serving(api.parts.gateway, upgrade=api.parts.upgrade) as server,
    ):
        yield Served(api, server, f"http://127.0.0.1:{server.port}")


@pytest.fixture
async def ana(served: Served) -> AsyncIterator[Client]:
    async with served.client("ana") as client:
        yield client


@pytest.fixture
async def bruno(served: Served) -> AsyncIterator[Client]:
    async with served.client("bruno") as client:
        yield client
