"""Changes of messages: edits, deletions and reactions.

A change has a number of its own in its conversation, beside the numbers of messages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from chat4all.domain.ids import BEFORE_ALL, ChangeId, ConversationId, LogPosition, Username

EDITS_MAX = 100
"""Edits of one message."""

EMOJIS = ("👍", "👎", "❤️", "😂", "😮", "😢", "😡", "🙏", "👏", "🎉", "🔥", "👀")
"""The reactions there are. A router puts a record with any other one aside: a longer list needs a
higher version of the record."""

NAMES_SHOWN = 10
"""Names that a message shows of those who gave one reaction."""

_VARIATION_SELECTOR = "\ufe0f"
_BY_PLAIN = {emoji.replace(_VARIATION_SELECTOR, ""): emoji for emoji in EMOJIS}


def emoji(text: str) -> str:
    """Return a reaction in the form of `EMOJIS`; `ValueError` for any other text.

    Keyboards differ in whether they add a variation selector.
    """
    try:
        return _BY_PLAIN[text.replace(_VARIATION_SELECTOR, "")]
    except KeyError:
        raise ValueError(f"one of {' '.join(EMOJIS)}") from None


@dataclass(frozen=True, slots=True)
class ReactionCount:
    """One reaction to a message: how many gave it, and who, earliest first."""

    emoji: str
    count: int
    names: tuple[Username, ...]


def count_reactions(
    given: Iterable[tuple[str, Username, int]], most: int | None = NAMES_SHOWN
) -> tuple[ReactionCount, ...]:
    """Count reactions, each given by a user in the change of this number.

    In the order of `EMOJIS`, with at most so many names each; None: with all.
    """
    by_emoji: dict[str, list[tuple[int, Username]]] = {}
    for one, name, change in given:
        by_emoji.setdefault(one, []).append((change, name))
    return tuple(
        ReactionCount(one, len(by_emoji[one]), tuple(n for _, n in sorted(by_emoji[one])[:most]))
        for one in EMOJIS
        if one in by_emoji
    )


@dataclass(frozen=True, slots=True)
class Edited:
    """A message has another text; None where it is known to be deleted."""

    content: str | None


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message is gone, for good: its number stays."""


@dataclass(frozen=True, slots=True)
class Reacted:
    """Somebody has given or taken back a reaction."""

    emoji: str
    given: bool


Effect = Edited | Deleted | Reacted
"""What a change does to its message. A `match` over it ends with `assert_never`."""


class NumberedChange(NamedTuple):
    """A change that has its number.

    `changed_at` is RFC 3339 in UTC with milliseconds and `Z`; `log_position` is its record's.
    """

    conversation_id: ConversationId
    change: int
    seq: int
    change_id: ChangeId
    author: Username
    changed_at: str
    effect: Effect
    log_position: LogPosition


class MadeChange(NamedTuple):
    """A change that was made earlier: of which message, and its effect as far as that is known.

    The text of an edit is empty once its message is deleted. `effect` is None for a deletion, and
    for a reaction that the same person has given or taken back again since. `is_deleted` is the
    message, by now; of an edit that is not looked at.
    """

    seq: int
    effect: Edited | Reacted | None
    is_deleted: bool = False


class ChangeHead(NamedTuple):
    """The newest change of a conversation and the log position of its record."""

    change: int
    log_position: LogPosition


NO_CHANGE = ChangeHead(0, BEFORE_ALL)
"""The head of a conversation without changes: every record is above it."""


class Version(NamedTuple):
    """A text that a message had or has; `edited_at` is None for the first one."""

    content: str
    edited_at: str | None


def renamed(
    reactions: Iterable[ReactionCount], aliases: Mapping[Username, Username]
) -> tuple[ReactionCount, ...]:
    """Return reactions with other names in the place of some."""
    return tuple(
        ReactionCount(one.emoji, one.count, tuple(aliases.get(n, n) for n in one.names))
        for one in reactions
    )
