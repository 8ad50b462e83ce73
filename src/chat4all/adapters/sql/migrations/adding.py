"""Adding columns to existing tables, unless they have them already."""

import sqlalchemy as sa
from alembic import op


def add_columns(table: str, *columns: sa.Column[object]) -> None:
    """Add the missing ones: a migration that was cut off, or overtaken, starts again."""
    there: set[str] = set()
    clause = True
    if op.get_context().dialect.name == "sqlite":  # it has no IF NOT EXISTS for columns
        there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        clause = False
    for column in columns:
        if column.name not in there:
            op.add_column(table, column, if_not_exists=clause or None)
