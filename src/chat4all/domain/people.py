"""Users, conversations and members, and the rules that their names and passwords keep."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chat4all.domain.errors import FieldError
from chat4all.domain.ids import ConversationId, SessionId, Username

USERNAME_PATTERN = "^[a-z0-9][a-z0-9._-]{1,31}$"
USERNAME_RULE = (
    "2 to 32 characters: lower-case letters, digits, '.', '_' and '-', the first a letter or digit"
)
PASSWORD_MIN = 8
"""Characters, as NIST SP 800-63B asks for; no rules of composition."""
PASSWORD_MAX_BYTES = 72
"""bcrypt ignores what comes after; refusing is safer than cutting."""
TITLE_MAX = 200
MEMBERS_MAX = 10_000

_USERNAME = re.compile(USERNAME_PATTERN.removesuffix("$") + r"\Z")
_RESERVED = re.compile(r"deleted-|system\Z")


def username_errors(username: str, pointer: str = "/username") -> list[FieldError]:
    """Return what is wrong with a name that somebody wants to take; empty when it is good."""
    if _USERNAME.match(username) is None:
        return [FieldError(pointer, USERNAME_RULE)]
    if _RESERVED.match(username):
        return [FieldError(pointer, "this name is reserved")]
    return []


def password_errors(password: str, pointer: str = "/password") -> list[FieldError]:
    """Return what is wrong with a password that somebody wants to set; never its text."""
    if len(password) < PASSWORD_MIN:
        return [FieldError(pointer, f"at least {PASSWORD_MIN} characters")]
    if len(password.encode()) > PASSWORD_MAX_BYTES:
        return [FieldError(pointer, f"at most {PASSWORD_MAX_BYTES} bytes in UTF-8")]
    if "\0" in password:
        return [FieldError(pointer, "a password cannot contain NUL")]
    return []


@dataclass(frozen=True, slots=True)
class User:
    """A person who can sign in. `created_at` is RFC 3339 in UTC."""

    username: Username
    email: str
    created_at: str


class ConversationType(StrEnum):
    """What a conversation is."""

    PRIVATE = "private"  # exactly two people, one conversation a pair
    GROUP = "group"


class Role(StrEnum):
    """What a member may do."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


MAY_ADD_MEMBERS = frozenset({Role.OWNER, Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation and who is in it."""

    conversation_id: ConversationId
    type: ConversationType
    title: str | None
    members: Mapping[Username, Role]
    created_at: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one user; ends at `expires_at` (seconds since 1970) at the latest."""

    session_id: SessionId
    username: Username
    expires_at: int
