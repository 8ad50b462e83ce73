"""Frames of the live interface, as bytes."""

import json

import pytest

from chat4all.domain.ids import Username
from chat4all.domain.messages import Status
from chat4all.domain.position import START, Position
from chat4all.gateway.live.framing import text_frame
from chat4all.gateway.live.runs import (
    Changes,
    newest_consecutive,
    next_changes,
    run_of_announced,
    run_of_page,
)
from chat4all.ports.history import EncodedPage
from chat4all.wire.frames import HEARTBEAT, encode_frame
from chat4all.wire.messages import message_view
from tests.live.sockets import contents_of, frames_in
from tests.messages import message


def wrap(payload: bytes, position: str) -> bytes:
    return text_frame(payload) if position else b""


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_text_frame_says_how_long_it_is(size: int) -> None:
    raw = text_frame(b"x" * size)
    assert contents_of(raw) == [b"x" * size]


def test_a_message_is_the_same_from_the_feed_and_from_the_store() -> None:
    rows = [message(seq) for seq in (4, 5, 6)]
    views = [message_view(row, Status.DELIVERED) for row in rows]
    page = run_of_page(EncodedPage(encode_frame(views), 4, 6, more=False), 3)
    announced = run_of_announced(rows, {})
    assert page is not None
    for seq, expected in ((3, [4, 5, 6]), (4, [5, 6]), (5, [6])):
        at = Position(seq, 7)
        found = frames_in(announced.piece_above(at, wrap)[0])
        assert found == frames_in(page.piece_above(at, wrap)[0])
        assert [frame["message"]["seq"] for frame in found] == expected
        assert [frame["position"] for frame in found] == [f"{one}.7" for one in expected]
    assert [seq for seq in range(9) if announced.follows(Position(seq))] == [3, 4, 5]
    assert announced.piece_above(Position(3, 7), wrap)[1] == Position(6, 7)


def test_rows_that_the_store_has_lost_are_passed_over() -> None:
    views = [message_view(message(seq), Status.DELIVERED) for seq in (7, 9)]
    page = run_of_page(EncodedPage(encode_frame(views), 7, 9, more=False), 5)
    assert page is not None
    assert page.follows(Position(5))
    frames, at = page.piece_above(Position(5), wrap)
    assert [(one["message"]["seq"], one["position"]) for one in frames_in(frames)] == [
        (7, "7.0"),
        (9, "9.0"),
    ]
    assert at == Position(9)


def test_changes_are_in_their_order_and_several_in_a_row_of_a_message_are_one_frame() -> None:
    views = {seq: message_view(message(seq), Status.DELIVERED) for seq in (1, 2)}
    run = Changes([(4, 1), (5, 1), (6, 2), (7, 1)], views)
    for change, expected in ((3, [5, 6, 7]), (4, [5, 6, 7]), (5, [6, 7]), (6, [7])):
        raw, at = run.piece_above(Position(9, change), wrap)
        found = frames_in(raw)
        assert at == Position(9, 7)
        assert [frame["type"] for frame in found] == ["message_changed"] * len(expected)
        assert [frame["position"] for frame in found] == [f"9.{one}" for one in expected]
        assert [frame["message"]["seq"] for frame in found] == [1, 2, 1][-len(expected) :]
    assert [at for at in range(9) if run.follows(Position(9, at))] == [3, 4, 5, 6]
    assert not run.follows(Position(1, 3))  # it has not been sent the second message


def test_of_changes_those_count_that_come_next() -> None:
    announced = [(9, 1), (6, 2), (5, 1), (7, 1), (5, 1)]
    assert next_changes(announced, 4, 10) == [(5, 1), (6, 2), (7, 1)]
    assert next_changes(announced, 5, 1) == [(6, 2)]
    assert next_changes(announced, 3, 10) == []


def test_a_sender_who_was_erased_has_an_alias() -> None:
    row = message(1)
    frame = frames_in(
        run_of_announced([row], {row.sender_id: Username("deleted-1")}).piece_above(START, wrap)[0]
    )[0]
    assert frame["message"]["sender_id"] == "deleted-1"


def test_of_what_was_announced_the_newest_that_are_consecutive_count() -> None:
    rows = [message(seq) for seq in (7, 3, 5, 8, 6, 8)]
    assert [row.seq for row in newest_consecutive(rows)] == [5, 6, 7, 8]
    assert newest_consecutive([]) == []


def test_a_page_without_messages_is_no_run() -> None:
    assert run_of_page(EncodedPage(b"[]", 0, 0, more=False), 5) is None


def test_a_heartbeat_is_a_frame() -> None:
    assert json.loads(HEARTBEAT) == {"type": "heartbeat"}


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1.2.3", "-1.0", "1.0\n", "²1.0", "9" * 17 + ".0"]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        Position.parse(text)


def test_a_position_is_read_as_it_is_written() -> None:
    assert Position.parse(str(Position(12, 3))) == Position(12, 3)
