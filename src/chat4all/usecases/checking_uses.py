"""Compare what is known of messages with files with the store, where nobody noted the outcome.

A use is noted before its message is appended, and removed after its deletion is. A process that is
killed in between, or gets no answer from the log, cannot say what became of it (docs/exactness.md,
*Files*).
"""

from collections.abc import Collection, Mapping, Sequence

from chat4all.domain.file_uses import DoubtfulUse
from chat4all.domain.files import FileUse
from chat4all.domain.ids import BEFORE_ALL, MessageId
from chat4all.domain.messages import StoredMessage
from chat4all.ports.dead_letters import DeadLetters
from chat4all.ports.file_uses import FileUses
from chat4all.ports.files import Files
from chat4all.ports.history import MessagesById
from chat4all.ports.progress import LogProgress

AT_ONCE = 50
"""Uses that are asked for in one go."""

ROUNDS_MAX = 50
"""In one run."""

LETTERS_AT_ONCE = 20
LETTERS_MAX = 1_000
"""Dead letters that were not replayed: while there are so many, no message is taken for missing."""

_Found = Mapping[FileUse, StoredMessage | None]


class CheckingUses:
    """Settles uses that are in doubt. What a run that was cut off has left, a later one settles."""

    def __init__(
        self,
        uses: FileUses,
        files: Files,
        stored: MessagesById,
        letters: DeadLetters,
        progress: LogProgress,
    ) -> None:
        self._uses = uses
        self._files = files
        self._stored = stored
        self._letters = letters
        self._progress = progress

    async def check(self) -> int:
        """Settle what can be settled; return how many uses that is."""
        settled = 0
        for _ in range(ROUNDS_MAX):
            doubtful = await self._uses.doubtful(AT_ONCE)
            now = await self._check(doubtful)
            settled += now
            if len(doubtful) < AT_ONCE or not now:
                break
        return settled

    async def _check(self, doubtful: Sequence[DoubtfulUse]) -> int:
        found = dict(await self._found([one.use for one in doubtful]))
        if absent := [use for use, message in found.items() if message is None]:
            put_aside = await self._put_aside([use.message_id for use in absent])
            for use in absent:
                del found[use]
            # Looked for again: a letter may have been replayed before the letters were read.
            found |= await self._found([use for use in absent if use.message_id not in put_aside])
        settled = 0
        for one in doubtful:
            if one.use in found:
                await self._settle(one, found[one.use])
                settled += 1
        return settled

    async def _settle(self, one: DoubtfulUse, message: StoredMessage | None) -> None:
        if message is not None and message.deleted_at is not None:
            use = one.use
            await self._files.detach(use.conversation_id, use.message_id, use.sender_id)
            return
        payload = {} if message is None else message.payload or {}
        await self._uses.settle(one, is_named=payload.get("file_id") == one.use.file_id)

    async def _found(self, uses: Sequence[FileUse]) -> _Found:
        """Return the messages of these uses, None where there are none.

        Those of conversations whose records are not all stored yet are left out.
        """
        if not uses:
            return {}
        passed = set(await self._progress.passed({use.conversation_id for use in uses}))
        return {use: await self._message(use) for use in uses if use.conversation_id in passed}

    async def _message(self, use: FileUse) -> StoredMessage | None:
        messages = await self._stored.with_id(use.conversation_id, use.message_id)
        return next((one for one in messages if one.sender_id == use.sender_id), None)

    async def _put_aside(self, message_ids: Sequence[MessageId]) -> Collection[MessageId]:
        """Return those that may be in a dead letter, whose replay would make the message."""
        found, waiting, after = set[MessageId](), 0, BEFORE_ALL
        while letters := await self._letters.all(LETTERS_AT_ONCE, after):
            for letter in letters:
                found |= {one for one in message_ids if one.encode() in letter.value}
                waiting += letter.replayed_by is None
            after = letters[-1].log_position
            if waiting >= LETTERS_MAX:
                return message_ids
        return found
