"""Devices, and the tokens that refresh their sessions."""

import sqlalchemy as sa
from alembic import op

from chat4all.adapters.sql.migrations.adding import add_columns

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns(
        "sessions",
        sa.Column("created_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("device", sa.String(200)),
        sa.Column("family_hash", sa.LargeBinary(32)),
        sa.Column("refresh_hash", sa.LargeBinary(32)),
    )
    op.create_index("ix_sessions_username", "sessions", ["username"], if_not_exists=True)
    op.create_index(
        "ix_sessions_family_hash", "sessions", ["family_hash"], unique=True, if_not_exists=True
    )
