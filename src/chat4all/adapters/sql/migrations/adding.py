"""Adding columns to tables that are there, wherever they are not there yet."""

import sqlalchemy as sa
from alembic import op


def add_columns(table: str, *columns: sa.Column[object]) -> None:
    """Add those that are missing: whoever was cut off, or overtaken, begins again."""
    there: set[str] = set()
    clause = True
    if op.get_context().dialect.name == "sqlite":  # it has no such clause
        there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        clause = False
    for column in columns:
        if column.name not in there:
            op.add_column(table, column, if_not_exists=clause or None)
