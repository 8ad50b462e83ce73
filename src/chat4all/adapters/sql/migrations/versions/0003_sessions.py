"""Devices, and the tokens that refresh their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite has no such clause; there the whole migration is one transaction.
    once = op.get_context().dialect.name != "sqlite" or None
    for column in (
        sa.Column("created_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("device", sa.String(200)),
        sa.Column("family_hash", sa.LargeBinary(32)),
        sa.Column("refresh_hash", sa.LargeBinary(32)),
    ):
        op.add_column("sessions", column, if_not_exists=once)
    op.create_index("ix_sessions_username", "sessions", ["username"], if_not_exists=True)
    op.create_index(
        "ix_sessions_family_hash", "sessions", ["family_hash"], unique=True, if_not_exists=True
    )
