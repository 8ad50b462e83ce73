"""A cache of erased users' aliases, and of users without one."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from chat4all.adapters.caching.cache import Cache
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

    async def load(username: Username) -> Username | None:
        return (await users.aliases([username])).get(username)

    cache = Cache[Username, Username | None](load, Subject.ALIAS, follower)

    async def aliases(usernames: Sequence[Username]) -> Mapping[Username, Username]:
        cached = await asyncio.gather(*map(cache.get, usernames))
        return {
            username: alias
            for username, alias in zip(usernames, cached, strict=True)
            if alias is not None
        }

    return interposed(users, {"aliases": lambda _: aliases, "erase_user": ending_with(cache.drop)})
