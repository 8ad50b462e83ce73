"""Who really did what the audit lists."""

import sqlalchemy as sa

from chat4all.adapters.sql.migrations.adding import add_columns

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns(
        "audit",
        sa.Column("session_id", sa.String(36)),
        sa.Column("address", sa.String(64)),
        sa.Column("operator", sa.String(64)),
    )
