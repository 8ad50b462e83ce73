"""The outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("entry_id", sa.String(36), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.String(16), nullable=False),
        sa.Column("key", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_outbox"),
        if_not_exists=True,
    )
    op.create_index("ix_outbox_at", "outbox", ["at"], if_not_exists=True)
