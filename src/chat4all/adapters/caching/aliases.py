"""A cache of erased users' aliases, and of users without one."""

from typing import Any, Protocol, TypeVar

from chat4all.adapters.caching.cache import ListCache
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.interposing import ending_with, interposed
from chat4all.domain.ids import Username
from chat4all.ports.outbox import Subject
from chat4all.ports.users import Aliases, Users


class ErasableUsers(Aliases, Users, Protocol):
    """Both ports, because erasing a user changes their public name."""


U = TypeVar("U", bound=ErasableUsers)


def cached_aliases(users: U, follower: OutboxFollower) -> U:
    """Return the users, with `aliases` answered from a cache."""
    cache = ListCache[Username, Username](users.aliases, Subject.ALIAS, follower)

    def erased(username: Username, *_: Any, **__: Any) -> None:
        cache.drop(username)

    return interposed(users, {"aliases": lambda _: cache.get, "erase_user": ending_with(erased)})
