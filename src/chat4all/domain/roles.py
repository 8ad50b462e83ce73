"""Who may do what in a conversation.

Rules are checked against the current roles in the transaction that makes the change: of two owners
who leave at the same time, one is refused. Raises `NotFound` for a user who is not in the
conversation, `NotAllowed` for a role that may not do it, `Conflict` where a group would be left
without an owner.

Only users who can sign in count as owners that a group is left with: the last of them cannot leave
because a disabled one is still there. Nobody else gets a role either. When the last of them is
erased, nobody can be asked: the first who can sign in becomes an owner, admins before others, then
by when they joined. Where nobody can, nobody does, until one of the members is enabled again; a
group without other members is deleted. Disabling changes no role: it is undone by enabling, and
meanwhile an operator may hand the group over.
"""

from collections.abc import Container, Iterable
from typing import NamedTuple

from chat4all.domain.errors import Conflict, FieldError, InvalidInput, NotAllowed, NotFound
from chat4all.domain.ids import Username
from chat4all.domain.people import ConversationType, Role

NO_SUCH_CONVERSATION = "no such conversation"
"""The same text when it does not exist and when the caller is not in it."""

_RANK = {Role.MEMBER: 0, Role.ADMIN: 1, Role.OWNER: 2}


class Standing(NamedTuple):
    """What the rules depend on.

    `asker` is the caller's role, `other` that of the member concerned; None for a non-member.
    `other_owners` is how many owners can sign in besides the member concerned, `other_is_disabled`
    whether that member cannot.
    """

    type: ConversationType
    asker: Role | None
    other: Role | None
    other_owners: int
    other_is_disabled: bool = False


def check_member(members: Container[Username], username: Username) -> None:
    """Raise `NotFound` unless a user is a member: others cannot tell whether it exists."""
    if username not in members:
        raise NotFound(NO_SUCH_CONVERSATION)


def check_mentioned(members: Container[Username], mentions: Iterable[Username]) -> None:
    """Raise `InvalidInput` that names every mention of somebody who is not a member."""
    errors = [
        FieldError(f"/mentions/{place}", "not a member of this conversation")
        for place, name in enumerate(mentions)
        if name not in members
    ]
    if errors:
        raise InvalidInput(errors)


def require_member(role: Role | None) -> Role:
    """Return a member's role; raises `NotFound` for None."""
    if role is None:
        raise NotFound(NO_SUCH_CONVERSATION)
    return role


def check_add(standing: Standing, role: Role) -> None:
    """Admins and owners add members; only owners give roles."""
    asker = _in_a_group(standing)
    if asker is Role.MEMBER:
        raise NotAllowed("only an admin or an owner adds members")
    if role is not Role.MEMBER:
        if asker is not Role.OWNER:
            raise NotAllowed("only an owner gives roles")
        _require_enabled(standing)


def check_remove(standing: Standing) -> None:
    """Owners remove any member, admins remove plain members."""
    asker = _in_a_group(standing)
    other = _the_other(standing)
    if asker is not Role.OWNER and _RANK[asker] <= _RANK[other]:
        raise NotAllowed("admins remove members, and owners anybody")
    _keep_an_owner(standing, other)


def check_leave(standing: Standing) -> None:
    """All members may leave a group, except its last owner."""
    _keep_an_owner(standing, _in_a_group(standing))


def check_role(standing: Standing, role: Role) -> None:
    """Owners give roles, their own included."""
    if _in_a_group(standing) is not Role.OWNER:
        raise NotAllowed("only an owner gives roles")
    other = _the_other(standing)
    if role is not Role.MEMBER:
        _require_enabled(standing)
    if role is not Role.OWNER:
        _keep_an_owner(standing, other)


def check_change(standing: Standing) -> None:
    """Admins and owners change a group's title and notes."""
    if _in_a_group(standing) is Role.MEMBER:
        raise NotAllowed("only an admin or an owner changes it")


def check_hand_over(standing: Standing) -> None:
    """Operators give a group to any member who can sign in."""
    _in_a_group(standing)
    _the_other(standing)
    _require_enabled(standing)


def check_delete(standing: Standing) -> None:
    """Owners delete a group."""
    if _in_a_group(standing) is not Role.OWNER:
        raise NotAllowed("only an owner deletes it")


def _in_a_group(standing: Standing) -> Role:
    asker = require_member(standing.asker)
    if standing.type is ConversationType.PRIVATE:
        raise NotAllowed("a private conversation stays as it is, between its two people")
    return asker


def _the_other(standing: Standing) -> Role:
    if standing.other is None:
        raise NotFound("no such member")
    return standing.other


def _require_enabled(standing: Standing) -> None:
    if standing.other_is_disabled:
        raise Conflict("this user is disabled")


def _keep_an_owner(standing: Standing, leaving: Role) -> None:
    if leaving is Role.OWNER and standing.other_owners == 0 and not standing.other_is_disabled:
        raise Conflict("it would have no owner: make another member one first, or delete it")
