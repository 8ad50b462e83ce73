"""Directory and Sessions by SQLAlchemy Core, with nothing that only SQLite has in their queries."""

from chat4all.adapters.sql.directory import SqlDirectory
from chat4all.adapters.sql.engine import Database
from chat4all.adapters.sql.outbox import SqlOutbox
from chat4all.adapters.sql.schema import upgrade
from chat4all.adapters.sql.sessions import SqlSessions

__all__ = ["Database", "SqlDirectory", "SqlOutbox", "SqlSessions", "upgrade"]
