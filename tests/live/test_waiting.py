"""What may wait for a client that takes it slowly, or not at all."""

import asyncio

import pytest

from chat4all.gateway.live import outgoing
from chat4all.gateway.live.outgoing import PACED_MAX, PASSING_MAX, WAITING_MAX
from chat4all.gateway.live.sockets import LiveSockets, text_frame
from tests.live.frames import CLOSE, PONG, TEXT, Got, close, frame, text
from tests.live.memory import Connection, live_sockets
from tests.live.sockets import write_paced

pytestmark = pytest.mark.anyio

KIB = b"\x81\x7e\x03\xfc" + b"x" * 1020
"""A frame of 1 KiB."""


@pytest.fixture
async def live() -> LiveSockets:
    return live_sockets()[0]


@pytest.fixture
async def stuck(live: LiveSockets) -> Connection:
    """A client that takes nothing."""
    connection = Connection(live)
    connection.transport.is_stuck = True
    return connection


def waiting(connection: Connection) -> int:
    return connection.transport.get_write_buffer_size()


def test_a_text_frame_of_any_size() -> None:
    for size in (0, 125, 126, 65_535, 65_536, 200_000):
        from_library = frame(TEXT, b"x" * size, mask=False)
        assert text_frame(b"x" * size) == from_library


async def test_the_cap_is_in_bytes(live: LiveSockets, stuck: Connection) -> None:
    client = stuck.client
    still_open = []
    for _ in range(WAITING_MAX // len(KIB) + 1):
        stuck.socket.write(KIB)
        still_open.append(stuck.socket.is_open)
    assert still_open == [True] * (WAITING_MAX // len(KIB)) + [False]
    most = waiting(stuck)
    assert most < WAITING_MAX + 2 * len(KIB)
    stuck.socket.write(KIB)
    assert waiting(stuck) == most
    stuck.pass_time(4.5)
    assert not stuck.transport.is_lost()
    stuck.pass_time(1)
    assert stuck.transport.is_lost()
    assert client.closes == 1
    assert live.counts.closes == {"4408": 1}
    assert live.counts.open == 0


async def test_a_client_that_takes_it_learns_why(stuck: Connection) -> None:
    for _ in range(WAITING_MAX // len(KIB) + 1):
        stuck.socket.write(KIB)
    stuck.transport.take()
    assert stuck.closed_with() == 4408


async def test_what_is_taken_no_longer_counts(stuck: Connection) -> None:
    for _ in range(10):
        for _ in range(WAITING_MAX // len(KIB) // 2):
            stuck.socket.write(KIB)
        stuck.transport.take(WAITING_MAX // 2)
    assert stuck.socket.is_open


async def test_what_may_be_lost_is_dropped_at_half(live: LiveSockets, stuck: Connection) -> None:
    written = [stuck.socket.write_passing(KIB) for _ in range(200)]
    assert written == [True] * (PASSING_MAX // len(KIB)) + [False] * 72
    assert live.counts.dropped == 72
    assert stuck.socket.is_open
    stuck.transport.take(len(KIB))
    assert stuck.socket.write_passing(KIB)
    stuck.socket.close(1000)
    assert not stuck.socket.write_passing(KIB)


async def test_pongs_may_be_lost(stuck: Connection) -> None:
    stuck.socket.write(
        b"\x81\x7f" + (PASSING_MAX - 20).to_bytes(8, "big") + b"x" * (PASSING_MAX - 20)
    )
    before = waiting(stuck)
    stuck.send(*[frame(9, b"!" * 100)] * 100)
    assert waiting(stuck) == before
    stuck.transport.take()
    stuck.send(frame(9, b"now"))
    stuck.transport.take()
    assert stuck.got()[1:] == [Got(PONG, b"now")]


# Replays


async def test_a_replay_never_closes_its_socket(stuck: Connection) -> None:
    page = KIB * 300

    async def replay() -> None:
        for _ in range(10):
            await write_paced(stuck.socket, page)

    task = asyncio.create_task(replay())
    for _ in range(10):
        await asyncio.sleep(0)
        assert len(page) <= waiting(stuck) <= len(page) + PACED_MAX
        stuck.socket.write(KIB)  # what is live meanwhile
        stuck.transport.take(waiting(stuck) - PACED_MAX)
        await asyncio.sleep(0)
    await asyncio.wait_for(task, 5)
    assert stuck.socket.is_open


async def test_a_replay_waits_until_little_is_waiting(stuck: Connection) -> None:
    stuck.socket.write(KIB * 20)
    task = asyncio.create_task(write_paced(stuck.socket, KIB))
    for _ in range(4):
        await asyncio.sleep(0)
        assert not task.done()
        stuck.transport.take(len(KIB))
    await asyncio.wait_for(task, 5)
    assert waiting(stuck) == PACED_MAX + len(KIB)


async def test_what_is_live_counts_behind_a_replay(stuck: Connection) -> None:
    await write_paced(stuck.socket, KIB * 300)
    still_open = []
    for _ in range(WAITING_MAX // len(KIB) + 1):
        stuck.socket.write(KIB)
        still_open.append(stuck.socket.is_open)
    assert still_open == [True] * (WAITING_MAX // len(KIB)) + [False]


@pytest.mark.parametrize("how", ["close", "lose", "stuck"])
async def test_a_replay_learns_that_the_socket_is_gone(stuck: Connection, how: str) -> None:
    await write_paced(stuck.socket, KIB * 100)
    waits = [asyncio.create_task(write_paced(stuck.socket, KIB)) for _ in range(3)]
    await asyncio.sleep(0)
    waits[0].cancel()  # does not concern the others
    await asyncio.sleep(0)
    match how:
        case "close":
            stuck.socket.close(1012)
        case "lose":
            stuck.transport.lose()
        case "stuck":
            stuck.pass_time(31)
    found = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 5)
    assert [type(one) for one in found] == [asyncio.CancelledError, *[ConnectionError] * 2]
    with pytest.raises(ConnectionError):
        await write_paced(stuck.socket, KIB)


async def test_a_replay_that_is_hardly_taken_closes_its_socket(
    stuck: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "ROOM_SECONDS", 0.01)
    await write_paced(stuck.socket, KIB * 64)
    stuck.transport.take(len(KIB))
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(write_paced(stuck.socket, KIB), 5)
    assert stuck.socket.close_code == 4408


# Times


async def test_nothing_taken_for_30_seconds(live: LiveSockets, stuck: Connection) -> None:
    stuck.socket.write(KIB)
    for _ in range(10):
        stuck.pass_time(20)
        stuck.transport.take(20)
    assert stuck.socket.is_open
    stuck.pass_time(29.5)
    assert stuck.socket.is_open
    stuck.pass_time(1)
    assert stuck.transport.is_lost()
    assert live.counts.closes == {"4408": 1}


async def test_a_heartbeat_after_25_seconds_of_silence(live: LiveSockets) -> None:
    connection = Connection(live)
    connection.pass_time(24.5)
    assert connection.got() == []
    connection.pass_time(1)
    heartbeat = Got(TEXT, b'{"type":"heartbeat"}')
    assert connection.got() == [heartbeat]
    connection.pass_time(10)
    connection.socket.write(text_frame(b"{}"))
    connection.pass_time(25)
    assert connection.got() == [Got(TEXT, b"{}")]
    connection.pass_time(51)
    assert connection.got() == [heartbeat] * 2
    connection.socket.close(1000)
    connection.got()
    connection.pass_time(60)
    assert connection.got() == []


async def test_a_close_that_is_not_answered_is_cut_after_5_seconds(live: LiveSockets) -> None:
    connection = Connection(live)
    connection.pass_time(60)
    connection.socket.close(1000)
    connection.pass_time(4.5)
    assert not connection.transport.is_lost()
    connection.pass_time(1)
    assert connection.transport.is_lost()


@pytest.mark.parametrize(
    "incomplete", [text("x" * 200)[:-1], text("x", fin=False), text("x", fin=False) + b"\x89"]
)
async def test_a_message_has_30_seconds(live: LiveSockets, incomplete: bytes) -> None:
    connection = Connection(live)
    connection.send(text("whole"), incomplete)
    connection.pass_time(29.5)
    assert connection.socket.is_open
    connection.pass_time(1.5)
    assert connection.got()[-1].code == 4408


async def test_each_message_has_its_own_30_seconds(live: LiveSockets) -> None:
    connection = Connection(live)
    for _ in range(5):
        connection.send(text("one", fin=False))
        connection.pass_time(20)
        connection.send(frame(0, b"two"), text("three", fin=False))
        connection.pass_time(20)
        connection.send(frame(0))
    assert connection.socket.is_open
    assert connection.client.messages == [b"onetwo", b"three"] * 5


# Many at once


async def test_the_end_of_a_client_that_answers_late(live: LiveSockets) -> None:
    connection = Connection(live)
    connection.socket.shutdown()
    assert connection.got() == [Got(CLOSE, b"\x03\xf4the server restarts")]
    connection.send(text("late"), close(1012))
    assert connection.transport.is_lost()
    assert live.counts.closes == {"1012": 1}
