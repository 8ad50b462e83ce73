"""All ports of users, conversations and sessions, as a value."""

from dataclasses import dataclass

from chat4all.ports.directory import AnsweringDirectory, Memberships
from chat4all.ports.sessions import Sessions
from chat4all.ports.users import AllUsers


@dataclass(frozen=True, slots=True)
class PeoplePorts:
    """Users, conversations and sessions of one installation, reached in one way."""

    users: AllUsers
    directory: AnsweringDirectory
    memberships: Memberships
    sessions: Sessions
