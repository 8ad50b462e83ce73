"""Users, conversations and sessions of one database."""

from chat4all.adapters.sql.creations import SqlCreations
from chat4all.adapters.sql.directory import SqlDirectory
from chat4all.adapters.sql.memberships import SqlMemberships
from chat4all.adapters.sql.sessions import SqlSessions
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.users import SqlUsers
from chat4all.ports.people import PeoplePorts


def sql_people(database: Transactions) -> PeoplePorts:
    """Return the ports on a database."""
    return PeoplePorts(
        SqlUsers(database),
        SqlDirectory(database),
        SqlMemberships(database),
        SqlSessions(database),
        SqlCreations(database),
    )
