"""Clients of a server that is killed again and again, judged against its store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chat4all.client import Client, Connected, Disconnected
from tests.checker import Sent, check_history
from tests.client.mirror import Mirror
from tests.faults.running import CHAT, Running

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(180)]

SECONDS = 120.0
MESSAGES = 90
KILLS = 3


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    found = await asyncio.to_thread(Running(tmp_path).start)
    yield found
    await asyncio.to_thread(found.kill)


def history_of(running: Running) -> list[dict[str, Any]]:
    return running.history(running.token("bruno"))


async def test_nothing_is_missed_doubled_or_reordered(running: Running) -> None:
    """One writes, changes and reacts; another one follows; the server dies three times."""
    sent, followed, told = Sent(), Mirror(), list[type]()
    edited: dict[str, str] = {}
    has_all = asyncio.Event()

    async def write() -> None:
        async with Client(running.gateway, "bruno", "test", timeout=60) as bruno:
            for number in range(MESSAGES):
                content = f"message {number}"
                message_id = await bruno.send(CHAT, content)
                sent.is_accepted(content, message_id)
                if number % 3 == 0:
                    edited[message_id] = f"edited {number}"
                    await bruno.edit(CHAT, message_id, edited[message_id])
                if number % 5 == 0:
                    await bruno.react(CHAT, message_id, "👍")

    async def follow() -> None:
        async with Client(running.gateway, "ana", "test", timeout=60) as ana:
            async for event in ana.events():
                told.append(type(event))
                followed.add(event)
                if len(followed.messages.get(CHAT, ())) == MESSAGES:
                    has_all.set()

    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        while Connected not in told:
            await asyncio.sleep(0.01)
        writing = tasks.create_task(write())
        for kill in range(1, KILLS + 1):
            enough = kill * MESSAGES // (KILLS + 1)
            while len(sent.acknowledged) < enough or told.count(Connected) < kill:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(running.kill)
            await asyncio.to_thread(running.start)
        await writing
        await has_all.wait()
        history = await asyncio.to_thread(history_of, running)
        # What was missed comes before it is told that nothing is missing any more.
        while not followed.equals(CHAT, history) or told.count(Connected) <= KILLS:
            await asyncio.sleep(0.05)
            history = await asyncio.to_thread(history_of, running)
        following.cancel()

    contents = {one["message_id"]: one["content"] for one in history}
    assert {one: contents[one] for one in edited} == edited
    unedited = [{**one, "content": sent.contents[one["message_id"]]} for one in history]
    check_history(CHAT, {"bruno": sent}, [unedited])
    assert told.count(Disconnected) == KILLS
    assert told.count(Connected) == KILLS + 1
