"""What may be cached of users, directory and sessions, and for how long it holds."""

from chat4all.adapters.caching.aliases import cached_aliases
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.caching.members import cached_members
from chat4all.adapters.caching.sessions import cached_sessions

__all__ = [
    "OutboxFollower",
    "cached_aliases",
    "cached_members",
    "cached_sessions",
]
