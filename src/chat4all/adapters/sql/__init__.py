"""Users, conversations, sessions and files by SQLAlchemy Core, in SQL of every database."""

from chat4all.adapters.sql.audit import AuditEntry, SqlAudit
from chat4all.adapters.sql.creations import SqlCreations
from chat4all.adapters.sql.directory import SqlDirectory
from chat4all.adapters.sql.engine import Database
from chat4all.adapters.sql.files import SqlFiles
from chat4all.adapters.sql.groups import SqlGroups
from chat4all.adapters.sql.memberships import SqlMemberships
from chat4all.adapters.sql.outbox import SqlOutbox
from chat4all.adapters.sql.people import sql_people
from chat4all.adapters.sql.schema import upgrade
from chat4all.adapters.sql.sessions import SqlSessions
from chat4all.adapters.sql.trimming import SqlTrimming
from chat4all.adapters.sql.uploads import SqlUploads
from chat4all.adapters.sql.users import SqlUsers

__all__ = [
    "AuditEntry",
    "Database",
    "SqlAudit",
    "SqlCreations",
    "SqlDirectory",
    "SqlFiles",
    "SqlGroups",
    "SqlMemberships",
    "SqlOutbox",
    "SqlSessions",
    "SqlTrimming",
    "SqlUploads",
    "SqlUsers",
    "sql_people",
    "upgrade",
]
