"""Listing, showing and replaying the dead letters of an installation."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from chat4all.domain.errors import CommandRefused, NotAccepted, OutcomeUnknown, Unavailable
from chat4all.domain.ids import BEFORE_ALL, LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.operations.dead_letter_sources import LetterSource
from chat4all.ports.dead_letters import DeadLetters

PAGE = 100
"""Letters in memory at a time; each may have 64 KiB or so."""


_REPEAT = "replay it again: the same message is stored once"


class Replayed(NamedTuple):
    """The outcome of one replay: the new record's position, or why it was refused.

    Or it is unknown, and `refused` says why.
    """

    position: int | str
    replayed_as: int | str | None
    refused: str | None
    may_be_done: bool = False


async def list_letters(source: LetterSource) -> list[DeadLetter]:
    """Return all letters, oldest first, without their values."""
    async with source.open() as opened:
        return [replace(letter, value=b"") async for letter in _all(opened.letters)]


async def get_letter(source: LetterSource, position: LogPosition) -> DeadLetter:
    """Return the letter at a position; `CommandRefused` when there is none."""
    async with source.open() as opened:
        return await _get(opened.letters, position, source)


async def replay_letters(
    source: LetterSource, positions: Sequence[LogPosition], value: bytes | None, *, again: bool
) -> list[Replayed]:
    """Replay these, or, if empty, all not replayed yet; one that is refused does not stop the rest.

    `value` is appended in place of the original. `again`: also letters replayed before.
    """
    outcomes = []
    async with source.open() as opened:
        if not positions:
            positions = [
                letter.log_position
                async for letter in _all(opened.letters)
                if again or letter.replayed_by is None
            ]
        for position in positions:
            name = source.format_position(position)
            try:
                letter = await _get(opened.letters, position, source)
                new = await opened.replaying.replay(letter, value, again=again)
            except OutcomeUnknown as error:
                told = f"{error}: {name} may have been replayed; {_REPEAT}"
                outcomes.append(Replayed(name, None, told, may_be_done=True))
            except (CommandRefused, NotAccepted, Unavailable) as error:
                outcomes.append(Replayed(name, None, str(error)))
            else:
                outcomes.append(Replayed(name, source.format_position(new), None))
    return outcomes


async def _all(letters: DeadLetters) -> AsyncIterator[DeadLetter]:
    after = BEFORE_ALL
    while page := await letters.all(PAGE, after):
        for letter in page:
            yield letter
        after = page[-1].log_position


async def _get(letters: DeadLetters, position: LogPosition, source: LetterSource) -> DeadLetter:
    letter = await letters.get(position)
    if letter is None:
        raise CommandRefused(
            f"there is no dead letter at {source.format_position(position)}: see "
            "`chat4all dead-letters list`"
        )
    return letter
