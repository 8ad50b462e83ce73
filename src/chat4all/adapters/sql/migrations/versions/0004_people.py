"""Profiles, disabled and erased users, deleted conversations, the audit."""

import sqlalchemy as sa
from alembic import op

from chat4all.adapters.sql.migrations.adding import add_columns
from chat4all.adapters.sql.types import Json

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_columns(
        "users",
        sa.Column("display_name", sa.String(80)),
        sa.Column("display_key", sa.String(240)),
        sa.Column("disabled_at", sa.String(24)),
        sa.Column("alias", sa.String(40)),
    )
    add_columns("conversations", sa.Column("deleted_at", sa.String(24)))
    add_columns("members", sa.Column("joined_at", sa.String(24)))
    op.create_table(
        "audit",
        sa.Column("entry_id", sa.String(36), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(40)),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("conversation_id", sa.String(36)),
        sa.Column("username", sa.String(40)),
        sa.Column("details", Json, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_audit"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_private_pairs_conversation_id", "private_pairs", ["conversation_id"], if_not_exists=True
    )
    op.create_index("ix_audit_at", "audit", ["at"], if_not_exists=True)
