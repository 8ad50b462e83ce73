"""Identifiers and log positions, and their canonical forms."""

import re
from typing import NamedTuple, NewType

from chat4all.domain.text import is_name

ConversationId = NewType("ConversationId", str)
"""A conversation's UUID in its canonical form: lower case, with hyphens (RFC 9562)."""

MessageId = NewType("MessageId", str)
"""A message's UUID in its canonical form. It belongs to its sender: two may use the same one."""

ChangeId = NewType("ChangeId", str)
"""The UUID of an edit, deletion or reaction in its canonical form. It belongs to its author."""

Username = NewType("Username", str)
"""A user's unchangeable name; `sender_id` on the wire."""

SessionId = NewType("SessionId", str)
"""One sign-in; `jti` in its tokens."""

UUID_PATTERN = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
"""A UUID as clients write it: any version, either case, hyphens where they belong."""

_UUID = re.compile(UUID_PATTERN.removesuffix("$") + r"\Z")
_VERSION_DIGIT = 14


def canonical_uuid(text: str) -> str:
    """Return `text` in lower case; `ValueError` when it is not a UUID with its hyphens.

    Two spellings of one id must be one key everywhere: in the log, the store and the directory.
    """
    if _UUID.match(text) is None:
        raise ValueError("not a UUID")
    return text.lower()


def conversation_id(text: str) -> ConversationId:
    """Return the id of a conversation in its canonical form; `ValueError` when it is none."""
    return ConversationId(canonical_uuid(text))


def message_id(text: str) -> MessageId:
    """Return the id of a message in its canonical form; `ValueError` when it is none."""
    return MessageId(canonical_uuid(text))


def change_id(text: str) -> ChangeId:
    """Return the id of a change in its canonical form; `ValueError` when it is none."""
    return ChangeId(canonical_uuid(text))


def username(text: str) -> Username:
    """Return a name that may be a user's; `ValueError` for what no database takes for a text."""
    if not is_name(text):
        raise ValueError("no user has such a name")
    return Username(text)


def session_id(text: str) -> SessionId:
    """Return the id of a session in its canonical form; `ValueError` when it is none."""
    return SessionId(canonical_uuid(text))


def uuid7_time(uuid: str) -> int | None:
    """Return the milliseconds since 1970 in a canonical UUIDv7; None for another version."""
    if uuid[_VERSION_DIGIT] != "7":
        return None
    return int(uuid[:8] + uuid[9:13], 16)


class LogPosition(NamedTuple):
    """Where a record is in the log. In one conversation a smaller position is an earlier record."""

    epoch: int
    partition: int
    offset: int


BEFORE_ALL = LogPosition(-1, -1, -1)
"""Below every record's position."""
