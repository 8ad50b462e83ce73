"""Edits that were accepted here a moment ago, which may not be stored yet."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import TypeAlias

from chat4all.domain.changes import Version
from chat4all.domain.ids import ChangeId, ConversationId
from chat4all.domain.records import EditRecord
from chat4all.usecases.recent import RECENT_MAX, RECENT_SECONDS

_Message: TypeAlias = tuple[ConversationId, int]


class AcceptedEdits:
    """Counts the edits of a message: those that are stored, and those that are on the way there.

    They are told apart by the moment of the edit. Each is kept for a while also once it is stored:
    who reads the store at the same time may not have seen it there.
    """

    def __init__(self) -> None:
        self._of: dict[_Message, dict[ChangeId, str]] = {}
        self._kept: OrderedDict[tuple[_Message, ChangeId], float] = OrderedDict()

    def keep(self, edit: EditRecord, now: float) -> bool:
        """Keep an edit that is about to be accepted; say whether it was not kept before."""
        while self._kept and (
            len(self._kept) >= RECENT_MAX or next(iter(self._kept.values())) + RECENT_SECONDS <= now
        ):
            self._forget(next(iter(self._kept)))
        message = (edit.conversation_id, edit.seq)
        if (message, edit.change_id) in self._kept:
            return False
        self._kept[message, edit.change_id] = now
        self._of.setdefault(message, {})[edit.change_id] = edit.changed_at
        return True

    def drop(self, edit: EditRecord) -> None:
        """Forget an edit that was not accepted after all."""
        self._forget(((edit.conversation_id, edit.seq), edit.change_id))

    def count(self, edit: EditRecord, stored: Iterable[Version]) -> int:
        """Return how many edits the message of an edit has without that one."""
        times = [one.edited_at for one in stored if one.edited_at is not None]
        accepted = self._of.get((edit.conversation_id, edit.seq), {})
        others = Counter(time for made, time in accepted.items() if made != edit.change_id)
        return len(times) + (others - Counter(times)).total()

    def _forget(self, kept: tuple[_Message, ChangeId]) -> None:
        if self._kept.pop(kept, None) is None:
            return
        message, made = kept
        of_one = self._of[message]
        del of_one[made]
        if not of_one:
            del self._of[message]
