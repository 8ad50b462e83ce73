"""What becomes of a use in doubt, by what the stores of messages and dead letters say of it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chat4all.domain.file_uses import DoubtfulUse
from chat4all.domain.files import FileUse
from chat4all.domain.ids import BEFORE_ALL, ConversationId, LogPosition, MessageId, Username
from chat4all.domain.messages import StoredMessage
from chat4all.domain.records import DeadLetter
from chat4all.usecases.checking_uses import (
    AT_ONCE,
    LETTERS_AT_ONCE,
    LETTERS_MAX,
    ROUNDS_MAX,
    CheckingUses,
)
from tests.attached import PICTURE, KeptFiles
from tests.messages import message
from tests.records import CHATS

pytestmark = pytest.mark.anyio


def doubtful(seq: int, chat: ConversationId = CHATS[0]) -> DoubtfulUse:
    of = message(seq, chat)
    return DoubtfulUse(FileUse(PICTURE, chat, of.message_id, of.sender_id), seq)


def naming(seq: int, file_id: str = PICTURE) -> StoredMessage:
    return replace(message(seq), payload={"file_id": file_id})


def letter(offset: int, value: bytes = b"", *, by: LogPosition | None = None) -> DeadLetter:
    return DeadLetter(LogPosition(0, 0, offset), "cause", b"", value, replayed_by=by)


class Place(KeptFiles):
    """Uses in doubt, given in rounds, and what there is of their messages."""

    def __init__(self, *rounds: Sequence[DoubtfulUse]) -> None:
        super().__init__()
        self.rounds = [*rounds]
        self.messages: list[StoredMessage] = []
        self.letters: list[DeadLetter] = []
        self.behind: set[ConversationId] = set()
        """Conversations whose records are not all stored."""
        self.settled: list[tuple[DoubtfulUse, bool]] = []
        self.detached: list[tuple[object, ...]] = []
        self.asked: list[int] = []
        self.looked: list[int] = []
        """How many letters were asked for each time."""

    async def doubtful(self, limit: int) -> Sequence[DoubtfulUse]:
        self.asked.append(limit)
        return self.rounds.pop(0) if self.rounds else []

    async def settle(self, doubtful: DoubtfulUse, *, is_named: bool) -> None:
        self.settled.append((doubtful, is_named))

    async def detach(
        self, conversation: ConversationId, message_id: MessageId, sender: Username
    ) -> None:
        self.detached.append((conversation, message_id, sender))

    async def passed(self, conversations: Collection[ConversationId]) -> Collection[ConversationId]:
        return {*conversations} - self.behind

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        found = (conversation, message_id)
        return [one for one in self.messages if (one.conversation_id, one.message_id) == found]

    async def all(self, limit: int, after: LogPosition = BEFORE_ALL) -> Sequence[DeadLetter]:
        self.looked.append(limit)
        return [one for one in self.letters if one.log_position > after][:limit]

    async def check(self) -> int:
        here: Any = self
        return await CheckingUses(here, here, here, here, here).check()


async def test_a_message_that_names_its_file_keeps_it() -> None:
    place = Place([doubtful(1)])
    place.messages = [naming(1)]
    assert await place.check() == 1
    assert place.settled == [(doubtful(1), True)]
    assert (place.detached, place.looked) == ([], [])


@pytest.mark.parametrize("found", [message(1), naming(1, "another"), None])
async def test_a_file_that_its_message_does_not_name_is_its_owners_again(
    found: StoredMessage | None,
) -> None:
    place = Place([doubtful(1)])
    place.messages = [] if found is None else [found]
    assert await place.check() == 1
    assert place.settled == [(doubtful(1), False)]
    assert place.detached == []


async def test_a_deleted_message_gives_its_file_back() -> None:
    place = Place([doubtful(1)])
    place.messages = [replace(naming(1), deleted_at="2026-01-31T12:00:00.000Z")]
    assert await place.check() == 1
    use = doubtful(1).use
    assert place.detached == [(use.conversation_id, use.message_id, use.sender_id)]
    assert place.settled == []


async def test_an_id_is_its_senders() -> None:
    """The same id from somebody else is another message, and speaks for nobody's file."""
    place = Place([doubtful(1)])
    deleted = replace(naming(1), sender_id=Username("ana"), deleted_at="2026-01-31T12:00:00.000Z")
    place.messages = [deleted]
    assert await place.check() == 1
    assert (place.settled, place.detached) == ([(doubtful(1), False)], [])
    both = Place([doubtful(1)])
    both.messages = [deleted, naming(1)]
    assert await both.check() == 1
    assert (both.settled, both.detached) == ([(doubtful(1), True)], [])


async def test_what_is_not_stored_yet_is_not_judged() -> None:
    """Nor does it keep others from being settled."""
    place = Place([doubtful(1), doubtful(2, CHATS[1])])
    place.behind = {CHATS[0]}
    assert await place.check() == 1
    assert place.settled == [(doubtful(2, CHATS[1]), False)]


async def test_what_a_dead_letter_may_bring_back_is_not_judged() -> None:
    place = Place([doubtful(1), doubtful(2), doubtful(3)])
    place.letters = [letter(offset) for offset in range(2 * LETTERS_AT_ONCE)]
    for offset, seq in ((3, 1), (LETTERS_AT_ONCE, 2)):
        of = doubtful(seq).use.message_id
        place.letters[offset] = letter(offset, b"..%b.." % of.encode())
    assert await place.check() == 1
    assert place.settled == [(doubtful(3), False)]
    assert place.looked == [LETTERS_AT_ONCE] * 3


async def test_while_too_many_letters_wait_nothing_is_taken_for_missing() -> None:
    place = Place([doubtful(1), doubtful(2)])
    place.messages = [naming(2)]
    place.letters = [letter(number) for number in range(LETTERS_MAX)]
    assert await place.check() == 1
    assert place.settled == [(doubtful(2), True)]
    place.rounds = [[doubtful(1)]]
    place.letters[0] = letter(0, by=LogPosition(0, 0, 5_000))  # this one does not wait
    assert await place.check() == 1
    assert place.settled[1:] == [(doubtful(1), False)]


async def test_a_run_goes_on_while_there_is_more_and_ends() -> None:
    full, part = [doubtful(seq) for seq in range(AT_ONCE)], [doubtful(AT_ONCE)]
    place = Place(full, part, [doubtful(1)])
    assert await place.check() == AT_ONCE + 1
    assert place.asked == [AT_ONCE] * 2
    many = Place(*[full] * (ROUNDS_MAX + 5))
    assert await many.check() == AT_ONCE * ROUNDS_MAX
    assert len(many.rounds) == 5


async def test_a_run_ends_when_nothing_can_be_settled() -> None:
    """Else it would take what others could check, and wait for the same conversations again."""
    full = [doubtful(seq) for seq in range(AT_ONCE)]
    place = Place(full, full)
    place.behind = {CHATS[0]}
    assert await place.check() == 0
    assert len(place.rounds) == 1
