"""Who acts: for the audit, which is written far from where a request or a command came in."""

import os
import pwd
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from chat4all.domain.ids import SessionId, Username

ADDRESS_MAX = 64
"""Characters of an address: an IPv6 address with its zone has less."""

OPERATOR_MAX = 64
"""Characters of an operator's account; a longer one is cut."""

LOGIN_UID = Path("/proc/self/loginuid")
"""Who logged in: see proc_pid_loginuid(5). Set at a login, and kept whatever a process becomes."""

NO_LOGIN = 2**32 - 1
"""In it: nobody did, as in a service, a container or at boot."""


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
    """Return the account that runs this process, and that which logged in to run it, if another.

    `maria-as-chat4all`. The kernel keeps the latter through `sudo`, `su` and `runuser`; where it
    was not told who logged in, `sudo` says who asked root for it. At most `OPERATOR_MAX`
    characters.
    """
    uid, login = os.getuid(), _login_uid()
    asked = ""
    if login not in (None, uid):
        asked = _name_of(login)
    elif uid == 0:
        asked = os.environ.get("SUDO_USER", "")
    account = f"{asked}-as-{_name_of(uid)}" if asked else _name_of(uid)
    # What is no text in UTF-8, no database takes.
    return account.encode(errors="replace").decode()[:OPERATOR_MAX]


def _login_uid() -> int | None:
    try:
        uid = int(LOGIN_UID.read_bytes())
    except (OSError, ValueError):  # not Linux, or without the kernel's audit
        return None
    return None if uid == NO_LOGIN else uid


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in most containers
        return f"uid-{uid}"
