"""Users, conversations and members, and the rules for their names and notes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chat4all.domain.errors import FieldError
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.domain.text import UnfitText, one_line, paragraphs

USERNAME_MAX = 32
USERNAME_PATTERN = "^[a-z0-9][a-z0-9._-]{1,31}$"
USERNAME_RULE = (
    "2 to 32 characters: lower-case letters, digits, '.', '_' and '-', the first a letter or digit"
)
TITLE_MAX = 200
NOTES_MAX = 32
NOTE_KEY_MAX = 64
NOTE_MAX = 1_000
DISPLAY_NAME_MAX = 80
DEVICE_MAX = 200
MEMBERS_MAX = 10_000

_USERNAME = re.compile(USERNAME_PATTERN.removesuffix("$") + r"\Z")
_RESERVED = re.compile(r"deleted-|system\Z")


def username_errors(username: str) -> list[FieldError]:
    """Return what is wrong with a new username; empty when it is valid."""
    if _USERNAME.match(username) is None:
        return [FieldError("/username", USERNAME_RULE)]
    if _RESERVED.match(username):
        return [FieldError("/username", "this name is reserved")]
    return []


def display_name(text: str) -> str:
    """Return a display name in its normal form; "" stays. Raises `UnfitText`."""
    name = text and one_line(text, DISPLAY_NAME_MAX)
    if name != name.strip():
        raise UnfitText("no space at either end")
    return name


def searched_name(text: str) -> str:
    """Return how a name that is searched for begins, in its normal form; "" is any name.

    Raises `UnfitText`.
    """
    return text and one_line(text, DISPLAY_NAME_MAX)


def title(text: str) -> str:
    """Return a conversation's title in its normal form. Raises `UnfitText`."""
    return one_line(text, TITLE_MAX)


def note_key(text: str) -> str:
    """Return the key of a conversation's note in its normal form. Raises `UnfitText`."""
    return one_line(text, NOTE_KEY_MAX)


def note(text: str) -> str:
    """Return a conversation's note in its normal form; "" stays. Raises `UnfitText`."""
    return text and paragraphs(text, NOTE_MAX)


@dataclass(frozen=True, slots=True)
class User:
    """A person who can sign in, unless `is_disabled`. `created_at` is RFC 3339 in UTC."""

    username: Username
    email: str
    created_at: str
    display_name: str | None = None
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What a user changes about themselves; None leaves it as it is."""

    display_name: str | None = None
    """An empty one removes it."""
    email: str | None = None
    password_hash: bytes | None = None


class UserSearch(StrEnum):
    """Whom a user finds by how names begin; a username in full finds anybody."""

    EVERYBODY = "everybody"
    CONTACTS = "contacts"  # who is in a conversation with them
    NOBODY = "nobody"


class ConversationType(StrEnum):
    """What a conversation is."""

    PRIVATE = "private"  # of exactly two users; a pair has one
    GROUP = "group"


class Role(StrEnum):
    """What a member may do."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


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
class ConversationChanges:
    """What is changed about a conversation; None leaves it as it is."""

    title: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one user, on one device; ends at `expires_at` at the latest.

    Times in seconds since 1970. `used_at` is when it was signed in or last refreshed.
    """

    session_id: SessionId
    username: Username
    expires_at: int
    created_at: int = 0
    used_at: int = 0
    device: str = ""
    """The client's own description (`User-Agent`)."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token and the seconds that it is good for."""

    token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in or a refresh gives."""

    access: AccessToken
    refresh_token: str


def private_errors(others: int, *, has_title: bool) -> list[FieldError]:
    """Return what is wrong with a private conversation of its creator and `others`."""
    errors = []
    if others != 1:
        errors.append(FieldError("/members", "a private conversation has one other"))
    if has_title:
        errors.append(FieldError("/title", "a private conversation has no title"))
    return errors
