"""Which number a change has, and what makes it invalid, from what the store has of it."""

from dataclasses import replace

import pytest

from chat4all.domain.changes import NO_CHANGE, ChangeHead, Deleted, Edited
from chat4all.domain.errors import RouterStopped
from chat4all.domain.ids import ChangeId, LogPosition, Username
from chat4all.domain.records import ChangeRecord, DeletionRecord, EditRecord, LogRecord
from chat4all.ports.store import ChangeEntry, ChangeRow, Target, TargetKey
from chat4all.usecases.numbering_changes import (
    NumberedChanges,
    change_key,
    must_look_up_change,
    number_changes,
)
from tests.records import CHATS

HERE = LogPosition(0, 0, 20)
EDIT = EditRecord(
    conversation_id=CHATS[0],
    change_id=ChangeId("0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47"),
    author=Username("bruno"),
    seq=3,
    changed_at="2026-01-31T12:00:00.000Z",
    content="new",
)
HEAD = ChangeHead(4, LogPosition(0, 0, 19))
"""The change is above it: the next number is 5."""

PAST = ChangeHead(9, LogPosition(0, 0, 30))
"""The change is below it: a replay."""

TARGET = Target(LogPosition(0, 0, 10), Username("bruno"), is_deleted=False)
LATER = TARGET._replace(log_position=LogPosition(0, 0, 21))
FIRST_LATER = ChangeEntry(4, LogPosition(0, 0, 5))


def taken(log_position: LogPosition = HERE, appended_ms: int = 0) -> LogRecord:
    return LogRecord(log_position, b"", b"", appended_ms, log_append_time=True)


def number(
    head: ChangeHead,
    first: ChangeEntry | None = None,
    row: ChangeRow | None = None,
    target: Target | None = TARGET,
    change: ChangeRecord = EDIT,
) -> NumberedChanges:
    """Number the change alone, with what the store has of its conversation."""
    return number_changes(
        [(taken(), change)],
        {CHATS[0]: head},
        {} if first is None else {change_key(EDIT): first},
        {} if row is None else {HERE: row},
        {} if target is None else {TargetKey(CHATS[0], 3): target},
    )


@pytest.mark.parametrize("first", [None, ChangeEntry(5, HERE)])
def test_a_new_one_has_the_next_number(first: ChangeEntry | None) -> None:
    numbered = number(HEAD, first)
    (change,) = numbered.changes
    assert (change.change, change.seq, change.effect) == (5, 3, Edited("new"))
    assert numbered.ids == {change_key(EDIT): ChangeEntry(5, HERE)}
    assert numbered.heads == {CHATS[0]: ChangeHead(5, HERE)}
    assert number(NO_CHANGE).heads == {CHATS[0]: ChangeHead(1, HERE)}


def test_a_replay_keeps_its_number_whatever_a_verdict_would_be_now() -> None:
    row = ChangeRow(7, EDIT.change_id, EDIT.author)
    for target in (TARGET, LATER, None, TARGET._replace(sender_id=None)):
        numbered = number(PAST, ChangeEntry(7, HERE), row, target)
        assert [change.change for change in numbered.changes] == [7]
        assert numbered.heads == {CHATS[0]: PAST}
        assert numbered.invalid == []


@pytest.mark.parametrize("head", [HEAD, PAST])
@pytest.mark.parametrize("first", [None, FIRST_LATER])
@pytest.mark.parametrize("target", [None, LATER, TARGET._replace(sender_id=Username("ana"))])
def test_what_is_invalid_takes_no_number_when_it_is_judged_again_either(
    head: ChangeHead, first: ChangeEntry | None, target: Target | None
) -> None:
    numbered = number(head, first, target=target)
    assert len(numbered.invalid) == 1
    assert (numbered.changes, numbered.ids, numbered.heads) == ([], {}, {CHATS[0]: head})


@pytest.mark.parametrize("head", [HEAD, PAST])
def test_a_second_use_of_an_id_does_nothing(head: ChangeHead) -> None:
    numbered = number(head, FIRST_LATER)
    assert (numbered.changes, numbered.invalid) == ([], [])


@pytest.mark.parametrize(
    ("head", "first", "row", "target"),
    [
        (PAST, None, None, TARGET),
        (PAST, ChangeEntry(7, HERE), None, TARGET),
        (PAST, None, ChangeRow(7, ChangeId(CHATS[1]), EDIT.author), TARGET),
        (PAST, None, ChangeRow(7, EDIT.change_id, Username("ana")), TARGET),
        (HEAD, ChangeEntry(4, HERE), None, TARGET),
        (HEAD, ChangeEntry(5, LogPosition(0, 0, 21)), None, TARGET),
        (HEAD, None, None, TARGET._replace(sender_id=None)),
    ],
)
def test_what_contradicts_the_store_stops_the_partition(
    head: ChangeHead, first: ChangeEntry | None, row: ChangeRow | None, target: Target
) -> None:
    with pytest.raises(RouterStopped, match="offset 20 contradicts the store"):
        number(head, first, row, target)


def test_only_an_admin_deletes_anothers() -> None:
    fields = {name: getattr(EDIT, name) for name in ("conversation_id", "change_id", "changed_at")}
    deletion = DeletionRecord(**fields, author=Username("ana"), seq=3)
    assert len(number(HEAD, change=deletion).invalid) == 1
    (change,) = number(HEAD, change=replace(deletion, as_admin=True)).changes
    assert change.effect == Deleted()


def test_an_edit_of_a_deleted_message_has_a_number_and_no_text() -> None:
    (change,) = number(HEAD, target=TARGET._replace(is_deleted=True)).changes
    assert (change.change, change.effect) == (5, Edited(None))


@pytest.mark.parametrize(
    ("change", "record", "head", "wanted"),
    [
        (replace(EDIT, fresh=True), taken(appended_ms=0x0199F3A47C1E + 1_000), HEAD, False),
        (replace(EDIT, fresh=True), taken(appended_ms=0x0199F3A47C1E + 1_001), HEAD, True),
        (replace(EDIT, fresh=True), taken(appended_ms=0x0199F3A47C1E), PAST, True),
        (replace(EDIT, fresh=True, moved=True), taken(appended_ms=0x0199F3A47C1E), HEAD, True),
        (EDIT, taken(appended_ms=0x0199F3A47C1E), HEAD, True),
    ],
)
def test_which_ids_are_looked_up(
    change: ChangeRecord, record: LogRecord, head: ChangeHead, wanted: bool
) -> None:
    assert must_look_up_change(record, change, head) is wanted
