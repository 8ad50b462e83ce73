"""The order of a list of conversations, when clocks are wrong and records come from elsewhere."""

import base64
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from chat4all.domain.ids import ConversationId
from chat4all.domain.times import format_milliseconds
from tests.api.conftest import CHAT, Api, running
from tests.api.test_conversations import group, listed
from tests.records import record

pytestmark = pytest.mark.anyio

HOUR = 3_600.0


class Wall:
    """The machine's clock, as much ahead as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.time_ns

        def now_ns() -> int:
            return real() + int(self.ahead * 1e9)

        def now_utc() -> str:
            return format_milliseconds(now_ns() // 1_000_000)

        monkeypatch.setattr("time.time_ns", now_ns)
        for module in ("sending", "membership"):
            monkeypatch.setattr(f"chat4all.usecases.{module}.now_utc", now_utc)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


async def order(api: Api, who: dict[str, str]) -> list[str]:
    return [one["conversation_id"] for one in await listed(api, who)]


async def say(api: Api, who: dict[str, str], chat: str) -> None:
    await api.send(who, chat_id=chat)
    await api.routed()


@pytest.mark.thorough
@pytest.mark.parametrize("ahead", [2 * HOUR, 73 * 365 * 24 * HOUR])
async def test_a_clock_that_was_ahead_and_is_set_right_keeps_nothing_on_top(
    api: Api, wall: Wall, ahead: float
) -> None:
    bruno = await api.sign_in("bruno")
    other = await group(api, bruno, "ana")
    wall.ahead = ahead
    await say(api, bruno, CHAT)
    assert await order(api, bruno) == [CHAT, other]
    wall.ahead = 0.0
    await say(api, bruno, other)
    assert await order(api, bruno) == [other, CHAT]
    new = await group(api, bruno, "ana")
    assert await order(api, bruno) == [new, other, CHAT]
    await say(api, bruno, CHAT)
    assert await order(api, bruno) == [CHAT, new, other]


async def test_a_restart_with_the_right_clock_keeps_the_order(tmp_path: Path, wall: Wall) -> None:
    wall.ahead = 2 * HOUR
    async with running(tmp_path / "data") as api:
        bruno = await api.sign_in("bruno")
        other = await group(api, bruno, "ana")
        await say(api, bruno, CHAT)
        # Nothing is left that shows the log's last time but what trimming has kept.
        assert await api.parts.log.trim(2**62, await api.parts.log.end()) > 0
    wall.ahead = 0.0
    async with running(tmp_path / "data") as api:
        bruno = await api.sign_in("bruno")
        await say(api, bruno, other)
        assert await order(api, bruno) == [other, CHAT]


async def test_a_group_that_was_made_when_the_clock_was_ahead_does_not_stay_on_top(
    tmp_path: Path, wall: Wall
) -> None:
    async with running(tmp_path / "data") as api:
        bruno = await api.sign_in("bruno")
        wall.ahead = 2 * HOUR
        silent = await group(api, bruno, "ana")
    wall.ahead = 0.0
    async with running(tmp_path / "data") as api:
        bruno = await api.sign_in("bruno")
        assert await order(api, bruno) == [silent, CHAT]
        await say(api, bruno, CHAT)
        assert await order(api, bruno) == [CHAT, silent]


@pytest.mark.parametrize("sent_at", ["2099-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_a_record_from_the_future_is_no_newer_than_it_came(api: Api, sent_at: str) -> None:
    bruno = await api.sign_in("bruno")
    other = await group(api, bruno, "ana")
    await api.parts.log.append(ConversationId(CHAT), record(chat=CHAT, timestamp_utc=sent_at))
    await api.routed()
    assert await order(api, bruno) == [CHAT, other]
    # What is shown is what the sender said.
    assert (await api.history(bruno))[-1]["created_at"] == sent_at[:19] + (
        ".000Z" if sent_at.startswith("2099") else ".999Z"
    )
    await say(api, bruno, other)
    assert await order(api, bruno) == [other, CHAT]


async def test_a_record_from_the_past_is_as_new_as_it_came(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    other = await group(api, bruno, "ana")
    await say(api, bruno, other)
    await api.parts.log.append(
        ConversationId(CHAT), record(chat=CHAT, timestamp_utc="0001-01-01T00:00:00Z")
    )
    await api.routed()
    assert await order(api, bruno) == [CHAT, other]


@pytest.mark.parametrize("sent_at", ["tomorrow", "", None, 4_070_908_800])
async def test_a_record_without_a_time_changes_no_order(api: Api, sent_at: Any) -> None:
    bruno = await api.sign_in("bruno")
    other = await group(api, bruno, "ana")
    await api.parts.log.append(ConversationId(CHAT), record(chat=CHAT, timestamp_utc=sent_at))
    await api.routed()
    assert await order(api, bruno) == [other, CHAT]


async def test_a_page_goes_on_after_a_cursor_of_an_earlier_release(api: Api) -> None:
    bruno = await api.sign_in("bruno")
    made = [await group(api, bruno, "ana") for _ in range(2)]
    for at, expected in (("2999-01-31T12:00:00.000Z", 3), ("2001-01-31T12:00:00.000Z", 0)):
        cursor = base64.urlsafe_b64encode(f"{at} {made[0]}".encode()).decode()
        assert len(await listed(api, bruno, f"?cursor={cursor}")) == expected


@pytest.mark.parametrize("place", ["x", f"x {uuid.UUID(int=0)}", f" {uuid.UUID(int=0)}", "9" * 99])
async def test_a_cursor_that_is_no_place_is_refused(api: Api, place: str) -> None:
    bruno = await api.sign_in("bruno")
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    answer = await api.gateway.get(f"/v1/conversations?cursor={cursor}", headers=bruno)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/query/cursor"
