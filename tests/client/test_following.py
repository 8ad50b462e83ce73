"""What frames mean to somebody who has seen so much."""

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from chat4all.client import (
    Client,
    Connected,
    MessageChanged,
    MessageCreated,
    MessagesReloaded,
    PositionsFile,
    ReadMoved,
    messages,
)
from chat4all.client.errors import Defect
from chat4all.client.following import Following, Gap, MustReload, ReadPage, Step
from chat4all.client.frames import read_frame
from chat4all.client.inbox import Inbox
from chat4all.client.live import _weight
from chat4all.client.reloading import reloaded
from chat4all.client.socket import Socket
from chat4all.client.timing import Pace
from chat4all.domain.position import Position
from chat4all.wire.frames import ErrorFrame, ReadFrame
from chat4all.wire.messages import EXAMPLE_CHAT as CHAT
from tests.client.answering import answering
from tests.conformance.store import message_of

pytestmark = pytest.mark.anyio


def frame(kind: str, seq: int, position: str) -> Any:
    fields = {"type": kind, "message": message_of(CHAT, seq, "x"), "position": position}
    return read_frame(msgspec.json.encode(fields))


def following(position: str = "3.0") -> Following:
    return Following({CHAT: Position.parse(position)}, "g", is_beginning=False)


def take(one: Following, *frames: Any) -> list[Any]:
    """Return the events of frames, which count as seen."""
    found: list[Any] = []
    for each in frames:
        for step in one.steps(each):
            assert isinstance(step, Step)
            one.commit(step)
            found += [step.event] if step.event else []
    return found


def test_nothing_twice_and_nothing_older() -> None:
    one = following()
    events = take(
        one,
        frame("message", 3, "3.0"),
        frame("message", 4, "4.0"),
        frame("message", 4, "4.0"),
        frame("message_changed", 2, "4.2"),
        frame("message_changed", 2, "4.1"),
        frame("message", 5, "5.2"),
    )
    assert [(type(event), event.message.seq) for event in events] == [
        (MessageCreated, 4),
        (MessageChanged, 2),
        (MessageCreated, 5),
    ]
    assert one.positions == {CHAT: Position(5, 2)}


@pytest.mark.parametrize(("kind", "seq"), [("message", 5), ("message_changed", 4)])
def test_a_gap_is_resumed_from_once_and_read_over_when_it_stays(kind: str, seq: int) -> None:
    """A message that an operator has taken out of the store must not stop a client for ever."""
    one = following()
    with pytest.raises(Gap):
        take(one, frame(kind, seq, "5.1"))
    assert one.positions == {CHAT: Position(3, 0)}
    found = [*one.steps(frame(kind, seq, "5.1"))]
    assert found == [MustReload(CHAT, Position(5, 1), Position(3, 0))]


def test_what_a_page_has_shown_is_not_told_again() -> None:
    one = following("9.0")
    one.commit(Step(None, CHAT, Position(12, 1), pages=[ReadPage(10, 12, 4)]))
    events = take(
        one,
        frame("message", 11, "11.1"),
        frame("message_changed", 11, "11.3"),
        frame("message_changed", 2, "11.4"),
        frame("message", 12, "12.4"),
        frame("message_changed", 12, "12.5"),
    )
    assert [(event.message.seq, event.position) for event in events] == [(2, "11.4"), (12, "12.5")]
    assert one._pages == {}


async def reload(known: str | None, first: int, last: int, position: str) -> list[Step]:
    """Return the steps of a reload at 5.0, whose page is read at a later position."""
    page = [message_of(CHAT, seq, "x") for seq in range(first, last + 1)]
    async with (
        answering((200, page, {"Chat4All-Position": position})) as server,
        Client(server.url, token="t") as chat,
    ):
        must = MustReload(CHAT, Position(5, 0), Position.parse(known) if known else None)
        return [step async for step in reloaded(chat._caller, must)]


async def test_a_page_that_is_newer_than_its_reload_moves_the_position() -> None:
    """Else a program that has taken it, and dies, is given messages 6 and 7 again."""
    (step,) = await reload("2.0", 3, 7, "7.2")
    assert step.event is not None
    assert [message.seq for message in step.event.new_messages] == [3, 4, 5, 6, 7]
    assert step.position == Position(7, 0)


def test_what_was_empty_when_one_was_added_has_new_messages_only() -> None:
    """The first message of a new conversation may be in the page that is read for it."""

    def added(position: str) -> Step | MustReload:
        fields = {"type": "conversation", "conversation_id": CHAT, "event": "added"}
        one: Any = read_frame(msgspec.json.encode({**fields, "position": position}))
        return [*Following({}, "g", is_beginning=False).steps(one)][-1]

    assert added("0.0") == MustReload(CHAT, Position(0, 0), Position(0, 0))
    assert added("3.0") == MustReload(CHAT, Position(3, 0), None)


async def test_nothing_older_comes_after_a_page() -> None:
    """300 messages came while the client was about to read the newest page."""
    one = Following({}, "g", is_beginning=False)
    for step in await reload(None, 106, 305, "305.0"):
        one.commit(step)
    events = take(one, *(frame("message", seq, f"{seq}.0") for seq in range(6, 308)))
    assert [event.message.seq for event in events] == [306, 307]


def test_frames_of_later_releases_are_passed_over() -> None:
    assert read_frame(b'{"type": "weather", "degrees": 21}') is None
    assert read_frame(b'{"type": "heartbeat"}') is None
    assert read_frame(b"{}") is None
    with pytest.raises(Defect):
        read_frame(b'{"type": "message"}')
    with pytest.raises(Defect):
        read_frame(b"<html>")


async def test_a_queue_is_bounded_and_ends_with_its_error() -> None:
    inbox: Inbox[int] = Inbox(2)
    await inbox.put(1)
    await inbox.put(2)
    putting = inbox.put(3)
    waiting = putting.send(None)  # it waits for room
    assert waiting is not None
    assert await inbox.get() == 1
    with pytest.raises(StopIteration):
        putting.send(None)
    inbox.end(ValueError("over"))
    assert [await inbox.get(), await inbox.get()] == [2, 3]
    for _ in range(2):
        with pytest.raises(ValueError, match="over"):
            await inbox.get()


async def test_what_is_heavy_fills_the_queue() -> None:
    inbox: Inbox[int] = Inbox(1_000)
    await inbox.put(1, weight=2_000)
    putting = inbox.put(2)
    assert putting.send(None) is not None  # it waits for room
    assert await inbox.get() == 1
    with pytest.raises(StopIteration):
        putting.send(None)
    assert [_weight(MessagesReloaded(CHAT, (), "1.0", True)), _weight(None)] == [1, 1]
    (step,) = await reload(None, 1, 50, "50.0")
    assert _weight(step.event) == 50


def test_after_a_restored_backup_own_markers_move_again() -> None:
    one = following()
    assert len([*one.resumed({CHAT: 900})]) == 1
    one.connect("ana", "another", "2026-01-31T12:00:00.000Z")
    assert len([*one.resumed({CHAT: 2})]) == 1
    found = [*one.steps(ReadFrame(conversation_id=CHAT, username="ana", seq=3))]
    assert found == [Step(ReadMoved(CHAT, "ana", 3))]


def test_a_position_that_is_none() -> None:
    with pytest.raises(Defect, match="position"):
        take(following(), frame("message", 4, "four"))


async def test_an_old_advice_to_wait_is_not_followed() -> None:
    """It was about a frame of the client; hours later the server restarts."""
    error = ErrorFrame("/problems/too-many-requests", "", 429, "slowly", retry_after=60)
    said = [msgspec.json.encode(error), b'{"type": "heartbeat"}']

    class Connection:
        async def recv(self) -> bytes:
            if not said:
                raise ConnectionClosedError(Close(1012, ""), None)
            return said.pop(0)

    tokens: Any = None
    connection: Any = Connection()
    socket = Socket(connection, tokens, Pace(), "t")
    await socket.next()
    with pytest.raises(ConnectionClosedError) as ended:
        await socket.next()
    assert socket.lost(ended.value).retry_after is None


async def test_a_file_is_written_by_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is cancelled while it saves leaves a thread that is still writing."""
    file, may_go = PositionsFile(tmp_path / "seen.json"), threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: may_go.wait(30))
    first = asyncio.create_task(file.save({"positions": {CHAT: "1.0"}, "generation": "g"}))
    second = asyncio.create_task(file.save({"positions": {CHAT: "2.0"}, "generation": "g"}))
    asyncio.get_running_loop().call_later(0.05, may_go.set)
    await asyncio.gather(first, second)
    assert PositionsFile(tmp_path / "seen.json").load() is not None


def test_a_message_may_take_as_long_to_be_stored_as_a_router_to_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(messages, "time", SimpleNamespace(monotonic=lambda: now))
    recent = messages.Recent()
    recent.add(CHAT)
    now = 12.0
    assert recent.has(CHAT)
    now = 60.0
    assert not recent.has(CHAT)


async def test_positions_are_kept_in_a_file(tmp_path: Path) -> None:
    file = PositionsFile(tmp_path / "seen.json")
    assert file.load() is None
    await file.save({"positions": {CHAT: "3.1"}, "generation": "g"})
    before = (tmp_path / "seen.json").stat().st_ino
    await file.save({"positions": {CHAT: "3.1"}, "generation": "g"})
    assert (tmp_path / "seen.json").stat().st_ino == before  # nothing new: nothing written
    again = PositionsFile(tmp_path / "seen.json")
    assert again.load() == {"positions": {CHAT: "3.1"}, "generation": "g"}
    (tmp_path / "seen.json").write_text("[]")
    with pytest.raises(ValueError, match="does not have positions"):
        again.load()


def test_what_a_bot_acts_on() -> None:
    assert Connected("ana").new_messages == ()
