"""Clients that stop reading while much is said: closed, whole again, and not kept in memory."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.copies import Copy
from tests.faults.clients import post
from tests.faults.running import CHAT, Running, until
from tests.input.test_fairness import resident

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(180)]

READERS = 40
EPISODES = 3

KEPT_MIB = 15
"""Of what waited for the readers of two episodes, which is 20 MiB, at most this may be left."""

MESSAGES = 60
SAID = "x" * 10_000
"""Of which less than half of the messages waits for each reader when it is closed."""

RECEIVE_BUFFER = 16 * 1024
ENDED = re.compile(r'^chat4all_live_closes_total\{code="(?:4408|1006)"\} (\d+)', re.MULTILINE)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    yield found
    found.kill()


async def connected(running: Running, token: str, copy: Copy) -> ClientConnection:
    """Return a socket that has resumed, and is read no further than that."""
    here = socket.create_connection(("127.0.0.1", running.port))
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    connection = await connect(
        f"ws://127.0.0.1:{running.port}/v1/live",
        sock=here,
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        max_queue=1,
        ping_interval=None,
        close_timeout=1,
    )
    resumes = copy.resumes
    await connection.send(copy.resume())
    async with asyncio.timeout(30):
        while copy.resumes == resumes:
            copy.take(json.loads(await connection.recv()))
    return connection


async def read_to_the_end(connection: ClientConnection, copy: Copy) -> int:
    """Read what is left, and return the code that it was closed with."""
    try:
        async with asyncio.timeout(30):
            while True:
                copy.take(json.loads(await connection.recv()))
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def ended(running: Running) -> int:
    """Return how many sockets ended because they took too little.

    The gateway closes those for which much waits; the system ends one that takes nothing, which may
    be first.
    """
    with urlopen(f"{running.gateway}/metrics", timeout=10) as answer:
        return sum(map(int, ENDED.findall(answer.read().decode())))


async def test_who_stops_reading_is_closed_and_has_everything_afterwards(running: Running) -> None:
    ana, bruno = running.token("ana"), running.token("bruno")
    copies = [Copy(CHAT) for _ in range(READERS)]
    memory = []
    for episode in range(1, EPISODES + 1):
        connections = [await connected(running, ana, copy) for copy in copies]
        for _ in range(MESSAGES):
            said = {"chat_id": CHAT, "content": SAID}
            assert await asyncio.to_thread(post, running, "/v1/messages", said, bruno) == 202
        closes = episode * READERS
        await asyncio.to_thread(until, lambda: ended(running) == closes, 60)  # noqa: B023
        memory.append(resident(running) / 1024)
        codes = await asyncio.gather(*map(read_to_the_end, connections, copies))
        assert {*codes} <= {4408, 1006}
    history = running.history(ana)
    for copy in copies:
        connection = await connected(running, ana, copy)
        copy.check(history)
        await connection.close()
    assert max(memory[1:]) - memory[0] < KEPT_MIB
