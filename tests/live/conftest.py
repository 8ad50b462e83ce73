from collections.abc import AsyncIterator

import pytest

from chat4all.gateway.live import presence
from tests.api.conftest import api
from tests.live.presence_world import World

__all__ = ["api"]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let presence be announced without waiting for more of it."""
    monkeypatch.setattr(presence, "GATHER_SECONDS", 0.0)


@pytest.fixture
async def world(at_once: None) -> AsyncIterator[World]:
    """Gateways and devices that know of each other's presence; time passes as told."""
    found = World()
    await found.start()
    yield found
    await found.close()
