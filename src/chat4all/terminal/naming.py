"""Which conversation somebody means: by its id, its title, or the other person's username."""

import unicodedata
from collections.abc import Sequence

from chat4all.client import ListedConversation
from chat4all.domain.ids import canonical_uuid
from chat4all.terminal.failing import NOT_FOUND, Failed
from chat4all.terminal.showing import in_a_line, name_of

PERSON = "@"
"""Begins a username where it must not be taken for a title."""


class NoneFits(Failed):
    """There is no conversation of a name."""


def as_id(name: str) -> str | None:
    """Return the canonical form of a conversation's id; None where the name is none."""
    try:
        return canonical_uuid(name)
    except ValueError:
        return None


def normal(name: str) -> str:
    """Return a name in the form that titles have: some terminals take letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def chosen(name: str, conversations: Sequence[ListedConversation]) -> ListedConversation:
    """Return the one conversation of this title, or with this person.

    Capitals count only where several fit otherwise. Raises `Failed` where there is none, or more
    than one, which are listed.
    """
    is_person = name.startswith(PERSON)
    wanted = normal(name.removeprefix(PERSON))
    fitting = [
        one for one in conversations if wanted.casefold() in _names(one, is_person, fold=True)
    ]
    if len(fitting) > 1:
        exactly = [one for one in fitting if wanted in _names(one, is_person, fold=False)]
        fitting = exactly or fitting
    match fitting:
        case [one]:
            return one
        case []:
            raise NoneFits(f"you are in no conversation named {in_a_line(name)}", NOT_FOUND)
    lines = "\n".join(f"  {_line(one)}" for one in fitting)
    raise Failed(
        f"{in_a_line(name)} fits {len(fitting)} conversations; name one of them by its id, or a "
        f"person as {PERSON}NAME:\n{lines}",
        NOT_FOUND,
    )


def _names(conversation: ListedConversation, is_person: bool, *, fold: bool) -> Sequence[str]:
    names = [conversation.peer] if is_person else [conversation.peer, conversation.title]
    return [name.casefold() if fold else name for name in names if name is not None]


def _line(conversation: ListedConversation) -> str:
    people = in_a_line(", ".join(member.username for member in conversation.members))
    return f"{conversation.conversation_id}  {name_of(conversation)}  ({people})"
