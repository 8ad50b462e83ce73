"""Alembic's entry point: runs on a given connection, in its transaction.

Offline (`--sql`) it writes the statements for the dialect of `sqlalchemy.url`.
"""

from alembic import context

from chat4all.adapters.sql.tables import metadata

if context.is_offline_mode():
    context.configure(url=context.config.get_main_option("sqlalchemy.url"))
else:
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
