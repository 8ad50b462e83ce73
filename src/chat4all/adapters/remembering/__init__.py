"""What may be remembered of users, directory and sessions, and for how long it holds."""

from chat4all.adapters.remembering.followers import (
    FollowingDirectory,
    FollowingSessions,
    FollowingUsers,
    WhenAliased,
)
from chat4all.adapters.remembering.following import Following
from chat4all.adapters.remembering.remembered import (
    RememberingDirectory,
    RememberingSessions,
    RememberingUsers,
)

__all__ = [
    "Following",
    "FollowingDirectory",
    "FollowingSessions",
    "FollowingUsers",
    "RememberingDirectory",
    "RememberingSessions",
    "RememberingUsers",
    "WhenAliased",
]
