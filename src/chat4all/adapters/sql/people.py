"""Users, conversations, sessions and files of one database."""

from collections.abc import Callable

from chat4all.adapters.sql.creations import SqlCreations
from chat4all.adapters.sql.directory import SqlDirectory
from chat4all.adapters.sql.file_uses import SqlFileUses
from chat4all.adapters.sql.files import SqlFiles
from chat4all.adapters.sql.memberships import SqlMemberships
from chat4all.adapters.sql.scans import SqlScans
from chat4all.adapters.sql.sessions import SqlSessions
from chat4all.adapters.sql.sharing import SqlSharing
from chat4all.adapters.sql.transactions import Transactions
from chat4all.adapters.sql.uploads import SqlUploads
from chat4all.adapters.sql.users import SqlUsers
from chat4all.ports.people import PeoplePorts


def sql_people(
    database: Transactions, *, order_ms: Callable[[], int | None] = lambda: None
) -> PeoplePorts:
    """Return the ports on a database; `order_ms` is for `SqlDirectory`."""
    return PeoplePorts(
        SqlUsers(database),
        SqlDirectory(database, order_ms=order_ms),
        SqlMemberships(database),
        SqlSessions(database),
        SqlCreations(database),
        SqlUploads(database),
        SqlFiles(database),
        SqlFileUses(database),
        SqlSharing(database),
        SqlScans(database),
    )
