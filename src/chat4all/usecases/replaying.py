"""Replay a dead letter: append it again, as a new record at a new position (EXACTNESS 1).

A dead letter has no number, and later records did not wait for it. Its replay is treated like any
record: the same id from the same sender is the same message, so that it is stored once, however
often it is replayed and wherever a replay is cut off.
"""

import time
from collections.abc import Callable
from typing import assert_never

from chat4all.domain.errors import CommandRefused, OutcomeUnknown, RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition, uuid7_time
from chat4all.domain.records import (
    ChangeRecord,
    DeadLetter,
    DeletionRecord,
    DeliveredRecord,
    EditRecord,
    MarkerRecord,
    MessageRecord,
    ReactionRecord,
)
from chat4all.ports.dead_letters import DeadLetters
from chat4all.ports.log import MessageLog
from chat4all.usecases.numbering_rules import FRESH_MS
from chat4all.wire.records import MalformedRecord, decode_record


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _offset_of(log_position: LogPosition) -> str:
    return str(log_position.offset)


class Replaying:
    """Appends dead letters to the log again.

    `now_ms` is the log's own clock, or one that is never ahead of it; `written` formats log
    positions for the operator.
    """

    def __init__(
        self,
        log: MessageLog,
        letters: DeadLetters,
        *,
        now_ms: Callable[[], int] = _now_ms,
        written: Callable[[LogPosition], str] = _offset_of,
    ) -> None:
        self._log = log
        self._letters = letters
        self._now_ms = now_ms
        self._written = written

    async def replay(
        self, letter: DeadLetter, value: bytes | None = None, *, again: bool = False
    ) -> LogPosition:
        """Append a letter, or `value` in its place, with its headers; return the new position.

        Raises `CommandRefused` for a letter that was replayed before (unless `again`) or would
        become a dead letter again, `Unavailable` when the log or the store cannot be written, and
        `OutcomeUnknown` if it may be done, or is and was not noted: it can be repeated then.
        """
        name = f"the dead letter at {self._written(letter.log_position)}"
        if letter.replayed_by is not None and not again:
            raise CommandRefused(
                f"{name} was replayed as {self._written(letter.replayed_by)}: add --again to do it "
                "anyway (the same message is stored once)"
            )
        if letter.replayed_by is not None and value is None:
            raise CommandRefused(
                f"the bytes of {name} are not kept since it was replayed: give them with --value"
            )
        record_bytes = letter.value if value is None else value
        try:
            record = decode_record(record_bytes)
        except MalformedRecord as error:
            what = name if value is None else "the corrected record"
            raise CommandRefused(
                f"{what} cannot be processed ({error}): give a corrected one with --value"
            ) from None
        except RouterStopped as error:
            raise CommandRefused(f"{name} would stop the router: {error}") from None
        match record:
            case MessageRecord() | EditRecord() | DeletionRecord() | ReactionRecord():
                if self._may_pass_as_fresh(record):
                    raise CommandRefused(
                        f"the id of {name} was made a moment ago or is from the future: "
                        "try again later"
                    )
            case MarkerRecord() | DeliveredRecord():
                pass  # a marker only grows: it can be replayed at any time
            case _:
                assert_never(record)
        position = await self._log.append(record.conversation_id, record_bytes, letter.headers)
        try:
            await self._letters.replayed(letter.log_position, position)
        except Unavailable as error:
            raise OutcomeUnknown(f"nobody noted that {name} was replayed ({error})") from error
        return position

    def _may_pass_as_fresh(self, record: MessageRecord | ChangeRecord) -> bool:
        """Say whether the router may not look up this id, because it seems just made.

        It would store a second replay of it as another message (EXACTNESS 6).
        """
        if not record.fresh or record.moved:
            return False
        uuid = record.message_id if isinstance(record, MessageRecord) else record.change_id
        made_ms = uuid7_time(uuid)
        return made_ms is not None and self._now_ms() - made_ms <= FRESH_MS
