"""Who acts: for the audit, which is written far from where a request or a command came in."""

import os
import pwd
from contextvars import ContextVar
from dataclasses import dataclass, replace

from chat4all.domain.ids import SessionId, Username

ADDRESS_MAX = 64
"""Characters of an address: an IPv6 address with its zone has less."""

OPERATOR_MAX = 64
"""Characters of an operator's account; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A user, with session and address as far as known, or an operator by their system account."""

    username: Username | None = None
    session_id: SessionId | None = None
    address: str | None = None
    operator: str | None = None

    def or_user(self, username: Username) -> "Actor":
        """Return who acts on `username`'s own things: an operator, or else they themselves."""
        return self if self.operator is not None else replace(self, username=username)


_NOBODY = Actor()
_acting: ContextVar[Actor] = ContextVar("acting", default=_NOBODY)


def act_as(actor: Actor) -> None:
    """Say who acts from now on, in this task or command."""
    _acting.set(actor)


def current_actor(username: Username | None = None) -> Actor:
    """Return who acts; `username` is the user whose rights are used, None for an operator's."""
    actor = _acting.get()
    return actor if username is None else replace(actor, username=username, operator=None)


def system_account() -> str:
    """Return the account that runs this process, and through `sudo` the one that asked for it.

    At most `OPERATOR_MAX` characters.
    """
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # as in most containers
        name = f"uid-{uid}"
    asked = os.environ.get("SUDO_USER", "") if uid == 0 else ""
    account = f"{asked}-as-{name}" if asked else name
    # What is no text in UTF-8, no database takes.
    return account.encode(errors="replace").decode()[:OPERATOR_MAX]
