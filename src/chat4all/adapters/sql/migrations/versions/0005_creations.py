"""When a refresh token was issued, and creations that may be repeated."""

import sqlalchemy as sa
from alembic import op

from chat4all.adapters.sql.migrations.adding import add_columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns("sessions", sa.Column("refreshed_at", sa.BigInteger))
    op.create_table(
        "creations",
        sa.Column("scope", sa.String(32), nullable=False),
        sa.Column("key", sa.String(36), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_creations"),
        if_not_exists=True,
    )
    op.create_index("ix_creations_at", "creations", ["at"], if_not_exists=True)
