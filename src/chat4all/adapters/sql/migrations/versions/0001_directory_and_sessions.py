"""The first tables."""

import sqlalchemy as sa
from alembic import op

from chat4all.adapters.sql.types import Json

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("username", sa.String(32), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("email_key", sa.String(320), nullable=False),
        sa.Column("password_hash", sa.LargeBinary(60), nullable=False),
        sa.Column("created_at", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_users"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
        if_not_exists=True,
    )
    op.create_table(
        "conversations",
        sa.Column("conversation_id", sa.String(36), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("title", sa.String(200)),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("created_at", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", name="pk_conversations"),
        if_not_exists=True,
    )
    op.create_table(
        "members",
        sa.Column(
            "conversation_id",
            sa.String(36),
            sa.ForeignKey("conversations.conversation_id", name="fk_members_conversation_id"),
            nullable=False,
        ),
        sa.Column(
            "username",
            sa.String(32),
            sa.ForeignKey("users.username", name="fk_members_username"),
            nullable=False,
        ),
        sa.Column("role", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "username", name="pk_members"),
        if_not_exists=True,
    )
    op.create_index("ix_members_username", "members", ["username"], if_not_exists=True)
    op.create_table(
        "private_pairs",
        sa.Column(
            "lesser",
            sa.String(32),
            sa.ForeignKey("users.username", name="fk_private_pairs_lesser"),
            nullable=False,
        ),
        sa.Column(
            "greater",
            sa.String(32),
            sa.ForeignKey("users.username", name="fk_private_pairs_greater"),
            nullable=False,
        ),
        sa.Column(
            "conversation_id",
            sa.String(36),
            sa.ForeignKey("conversations.conversation_id", name="fk_private_pairs_conversation_id"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("lesser", "greater", name="pk_private_pairs"),
        if_not_exists=True,
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column(
            "username",
            sa.String(32),
            sa.ForeignKey("users.username", name="fk_sessions_username"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_sessions"),
        if_not_exists=True,
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"], if_not_exists=True)
