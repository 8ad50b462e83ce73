"""Which number a change has, if any, as a function of the log alone (EXACTNESS 4, 24 to 27)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from chat4all.domain.changes import (
    NO_CHANGE,
    ChangeHead,
    Deleted,
    Edited,
    Effect,
    NumberedChange,
    Reacted,
)
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.messages import StoredMessage
from chat4all.domain.records import (
    ChangeRecord,
    DeletionRecord,
    EditRecord,
    LogRecord,
    ReactionRecord,
)
from chat4all.ports.store import ChangeEntry, ChangeKey, ChangeRow, Target, TargetKey
from chat4all.usecases.numbering_rules import (
    contradiction,
    may_be_used,
    number_of_new,
    number_of_replay,
)


def must_look_up_change(record: LogRecord, change: ChangeRecord, head: ChangeHead) -> bool:
    """Say whether the id of this change may have been used at an earlier position (rule 6)."""
    return record.log_position <= head.log_position or may_be_used(
        record, change.change_id, fresh=change.fresh, moved=change.moved
    )


@dataclass(slots=True)
class NumberedChanges:
    """The changes of a batch that have a number, what is written with them, and what is invalid."""

    changes: list[NumberedChange] = field(default_factory=list)
    ids: dict[ChangeKey, ChangeEntry] = field(default_factory=dict)
    heads: dict[ConversationId, ChangeHead] = field(default_factory=dict)
    invalid: list[tuple[LogRecord, str]] = field(default_factory=list)
    """Records that can never be processed, each with the cause."""


def number_changes(
    changes: Sequence[tuple[LogRecord, ChangeRecord]],
    watermarks: Mapping[ConversationId, ChangeHead],
    entries: Mapping[ChangeKey, ChangeEntry],
    rows: Mapping[LogPosition, ChangeRow],
    targets: Mapping[TargetKey, Target],
) -> NumberedChanges:
    """Assign numbers in log order, from heads, used ids and, for replays, the written rows.

    `targets` are the messages that are changed, those of this batch included. A record that has a
    row keeps its number. Otherwise it is judged, a replay too, by rows of earlier positions alone.
    Every valid record takes a number, even without effect. Raises `RouterStopped` when the store
    contradicts the log.
    """
    numbered = NumberedChanges(
        heads={key: head for key, head in watermarks.items() if head is not NO_CHANGE}
    )
    deleted = {key for key, target in targets.items() if target.is_deleted}
    for record, change in changes:
        conversation, log_position = change.conversation_id, record.log_position
        target = TargetKey(conversation, change.seq)
        is_replay = log_position <= watermarks[conversation].log_position
        row = rows.get(log_position) if is_replay else None
        if row is None and (cause := _fault(log_position, change, targets.get(target))):
            numbered.invalid.append((record, cause))
            continue
        key = change_key(change)
        first = numbered.ids.get(key) or entries.get(key)
        head = numbered.heads.get(conversation, NO_CHANGE)
        if is_replay:
            number = number_of_replay(log_position, (key.change_id, key.author), row, first)
        else:
            number = number_of_new(log_position, head.change + 1, first)
            if number is not None:
                numbered.heads[conversation] = ChangeHead(number, log_position)
        if number is None:
            continue
        numbered.ids.setdefault(key, ChangeEntry(number, log_position))
        effect = _effect(change, is_deleted=target in deleted)
        if isinstance(effect, Deleted):
            deleted.add(target)
        numbered.changes.append(
            NumberedChange(
                conversation,
                number,
                change.seq,
                change.change_id,
                change.author,
                change.changed_at,
                effect,
                log_position,
            )
        )
    return numbered


def targets_among(messages: Sequence[StoredMessage]) -> dict[TargetKey, Target]:
    """Return the messages of a batch as what a change may be about (rule 26)."""
    return {
        TargetKey(m.conversation_id, m.seq): Target(m.log_position, m.sender_id, is_deleted=False)
        for m in messages
    }


def change_key(change: ChangeRecord) -> ChangeKey:
    """Return what identifies a change; see `ChangeKey`."""
    return ChangeKey(change.conversation_id, change.change_id, change.author)


def _fault(log_position: LogPosition, change: ChangeRecord, target: Target | None) -> str | None:
    """Say why a change can never be made: by its record, and by its message's, if it is earlier."""
    if target is None or target.log_position >= log_position:
        return "it changes a message that is not there"
    if target.sender_id is None:
        # Read only in part: that is no ground for a verdict (rule 26).
        raise contradiction(log_position, "the sender of its message cannot be read")
    match change:
        case EditRecord():
            allowed = change.author == target.sender_id
        case DeletionRecord():
            allowed = change.as_admin or change.author == target.sender_id
        case ReactionRecord():
            allowed = True
        case _:
            assert_never(change)
    return None if allowed else "its author may not change this message"


def _effect(change: ChangeRecord, *, is_deleted: bool) -> Effect:
    match change:
        case EditRecord():
            return Edited(None if is_deleted else change.content)
        case DeletionRecord():
            return Deleted()
        case ReactionRecord():
            return Reacted(change.emoji, change.given)
        case _:
            assert_never(change)
