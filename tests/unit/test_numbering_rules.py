"""Which number a message has, and what stops the router, from what the store has of it."""

from dataclasses import replace

import pytest

from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import LogPosition, MessageId, Username
from chat4all.domain.messages import NO_HEAD, Head
from chat4all.domain.records import LogRecord, MessageRecord
from chat4all.ports.store import IdEntry, NumberedRow
from chat4all.usecases.numbering_rules import Numbered, id_key, must_look_up, number_messages
from tests.records import CHATS

HERE = LogPosition(0, 0, 20)
MESSAGE = MessageRecord(
    CHATS[0],
    MessageId("0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47"),
    Username("bruno"),
    "x",
    "2026-01-31T12:00:00.000Z",
)
HEAD = Head(4, LogPosition(0, 0, 19))
"""The message is above it: the next number is 5."""

PAST = Head(9, LogPosition(0, 0, 30))
"""The message is below it: a replay."""


def at(offset: int, epoch: int = 0) -> LogPosition:
    return LogPosition(epoch, 0, offset)


def number(
    head: Head,
    first: IdEntry | None = None,
    row: NumberedRow | None = None,
    log_position: LogPosition = HERE,
) -> Numbered:
    """Number the message alone, with what the store has of its conversation, id and position."""
    taken = LogRecord(log_position, b"", b"", 7, log_append_time=True)
    return number_messages(
        [(taken, MESSAGE)],
        {CHATS[0]: head},
        {} if first is None else {id_key(MESSAGE): first},
        {} if row is None else {log_position: row},
    )


@pytest.mark.parametrize("first", [None, IdEntry(5, HERE)])
def test_a_new_one_has_the_next_number_also_when_another_router_wrote_it_just_now(
    first: IdEntry | None,
) -> None:
    numbered = number(HEAD, first)
    (message,) = numbered.messages
    assert (message.seq, message.log_position) == (5, HERE)
    assert numbered.ids == {id_key(MESSAGE): IdEntry(5, HERE)}
    assert numbered.heads == {CHATS[0]: Head(5, HERE)}
    assert numbered.heads[CHATS[0]].order_ms == 7


def test_the_first_of_a_conversation_has_number_one() -> None:
    assert [m.seq for m in number(NO_HEAD).messages] == [1]
    assert number(NO_HEAD, IdEntry(1, at(3))).heads == {}


@pytest.mark.parametrize("first", [at(19), at(1)])
@pytest.mark.parametrize("seq", [1, 5, 7])
def test_an_id_from_an_earlier_position_is_a_duplicate(first: LogPosition, seq: int) -> None:
    for head in (HEAD, PAST):
        numbered = number(head, IdEntry(seq, first))
        assert (numbered.messages, numbered.ids) == ([], {})
        assert numbered.heads == {CHATS[0]: head}


@pytest.mark.parametrize("first", [IdEntry(4, HERE), IdEntry(6, HERE), IdEntry(1, HERE)])
def test_an_id_that_is_known_with_another_number_stops_the_router(first: IdEntry) -> None:
    """It never has the number that it would have now, nor the one that it has there."""
    with pytest.raises(RouterStopped, match=r"offset 20 .* known with another number"):
        number(HEAD, first)


@pytest.mark.parametrize("first", [IdEntry(5, at(21)), IdEntry(4, at(2_000)), IdEntry(5, at(1, 1))])
def test_an_id_that_is_known_from_later_on_stops_the_router(first: IdEntry) -> None:
    with pytest.raises(RouterStopped, match="from later on"):
        number(HEAD, first)
    with pytest.raises(RouterStopped, match="below the head and has no row"):
        number(PAST, first)


@pytest.mark.parametrize("first", [None, IdEntry(7, HERE)])
def test_a_replay_without_its_row_stops_the_router(first: IdEntry | None) -> None:
    with pytest.raises(RouterStopped, match=r"offset 20 .* below the head and has no row"):
        number(PAST, first)


@pytest.mark.parametrize("first", [None, IdEntry(7, HERE), IdEntry(3, at(5))])
def test_a_replay_has_the_number_of_its_row_and_all_is_written_again(
    first: IdEntry | None,
) -> None:
    for row in (
        NumberedRow(7, MESSAGE.message_id, MESSAGE.sender_id),
        NumberedRow(7, None, None),  # of which only a part can be read
    ):
        numbered = number(PAST, first, row)
        assert [m.seq for m in numbered.messages] == [7]
        assert numbered.ids == {id_key(MESSAGE): IdEntry(7, HERE)}
        assert numbered.heads == {CHATS[0]: PAST}


def test_the_record_of_the_head_itself_is_a_replay() -> None:
    row = NumberedRow(9, MESSAGE.message_id, MESSAGE.sender_id)
    at_head = replace(PAST, log_position=HERE)
    assert [m.seq for m in number(at_head, row=row).messages] == [9]


@pytest.mark.parametrize(
    "row",
    [
        NumberedRow(7, MESSAGE.message_id, Username("ana")),
        NumberedRow(7, MessageId(CHATS[1]), MESSAGE.sender_id),
        NumberedRow(7, MessageId(CHATS[1]), Username("ana")),
        NumberedRow(7, MessageId(CHATS[1]), None),
    ],
)
def test_a_row_of_another_message_stops_the_router(row: NumberedRow) -> None:
    with pytest.raises(RouterStopped, match="another message's"):
        number(PAST, row=row)


def test_ids_of_one_batch_are_checked_against_each_other_and_belong_to_their_sender() -> None:
    of_ana = MESSAGE._replace(sender_id=Username("ana"))
    elsewhere = MESSAGE._replace(conversation_id=CHATS[1])
    found = number_messages(
        [
            (LogRecord(at(offset), b"", b"", 7, log_append_time=True), message)
            for offset, message in enumerate([MESSAGE, of_ana, MESSAGE, elsewhere, of_ana], 20)
        ],
        {CHATS[0]: HEAD, CHATS[1]: NO_HEAD},
        {},
        {},
    )
    assert [(m.log_position.offset, m.seq) for m in found.messages] == [(20, 5), (21, 6), (23, 1)]
    assert found.heads == {CHATS[0]: Head(6, at(21)), CHATS[1]: Head(1, at(23))}


MADE = int("0199f3a47c1e", 16)
"""When the id of `MESSAGE` was made, in milliseconds."""


def looked_up(
    late: int, head: Head = HEAD, *, stamped_by_the_log: bool = True, **change: object
) -> bool:
    message = MESSAGE._replace(**{"fresh": True, **change})  # type: ignore[arg-type]
    taken = LogRecord(HERE, b"", b"", MADE + late, log_append_time=stamped_by_the_log)
    return must_look_up(taken, message, head)


@pytest.mark.parametrize("late", [0, 1, 999, 1_000])
def test_an_id_that_was_made_just_now_is_not_looked_up(late: int) -> None:
    assert not looked_up(late)
    assert not looked_up(late, NO_HEAD)


@pytest.mark.parametrize("late", [-(2**40), -1, 1_001, 2_000, 2**41])
def test_an_id_that_was_not_made_just_now_is_looked_up(late: int) -> None:
    assert looked_up(late)


def test_every_other_id_is_looked_up() -> None:
    assert looked_up(1, fresh=False)
    assert looked_up(1, moved=True)
    assert looked_up(1, stamped_by_the_log=False)
    assert looked_up(1, message_id=MessageId("0199f3a4-7c1e-4d2a-9b6e-3f1c5a8e2d47"))
    assert looked_up(1, PAST)
    assert looked_up(1, replace(PAST, log_position=HERE))
    assert not looked_up(1, replace(PAST, log_position=at(19)))
