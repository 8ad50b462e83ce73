"""Alembic's entry: runs on the connection, and in the transaction, that it is given."""

from alembic import context

from chat4all.adapters.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
