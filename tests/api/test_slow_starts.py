"""A start on a machine that stands still for a moment."""

import asyncio
from pathlib import Path

import pytest

from chat4all.adapters.caching import following
from chat4all.adapters.sql import SqlOutbox
from chat4all.ports.outbox import OutboxPage
from tests.api.conftest import running

pytestmark = [pytest.mark.anyio, pytest.mark.thorough]


async def test_a_first_look_that_takes_too_long_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the start ends with "the directory does not answer in time"."""
    after, asked = SqlOutbox.after, 0

    async def late_at_first(self: SqlOutbox, position: int | None) -> OutboxPage:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return await after(self, position)

    monkeypatch.setattr(SqlOutbox, "after", late_at_first)
    monkeypatch.setattr(following, "POLL_SECONDS", 1.0)
    async with running(tmp_path / "data") as api:
        await api.history(await api.sign_in("ana"))
    assert asked > 1
