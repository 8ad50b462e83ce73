"""Users, conversations and sessions, with caches around what every request asks."""

from chat4all.adapters.caching.aliases import cached_aliases
from chat4all.adapters.caching.following import OutboxFollower
from chat4all.adapters.caching.members import cached_members
from chat4all.adapters.caching.sessions import cached_sessions
from chat4all.ports.people import PeoplePorts


def cached_people(people: PeoplePorts, follower: OutboxFollower) -> PeoplePorts:
    """Return the ports, with aliases, members and sessions answered from caches."""
    return PeoplePorts(
        cached_aliases(people.users, follower),
        cached_members(people.directory, follower),
        people.memberships,
        cached_sessions(people.sessions, follower),
        people.creations,
        people.uploads,
        people.files,
        people.file_uses,
        people.sharing,
        people.scans,
    )
