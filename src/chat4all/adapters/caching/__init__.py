"""Caches of members, sessions and aliases, and for how long each is valid."""

from chat4all.adapters.caching.aliases import cached_aliases
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.caching.members import cached_members
from chat4all.adapters.caching.people import cached_people
from chat4all.adapters.caching.sessions import cached_sessions

__all__ = [
    "OutboxFollower",
    "cached_aliases",
    "cached_members",
    "cached_people",
    "cached_sessions",
]
