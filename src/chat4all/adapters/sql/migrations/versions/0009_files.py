"""Files, uploads on their way to become one, and the messages that name a file."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("file_id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("declared_type", sa.Text, nullable=False),
        sa.Column("object_key", sa.String(200), nullable=False),
        sa.Column("store_upload", sa.Text, nullable=False),
        sa.Column("upload_metadata", sa.Text, nullable=False),
        sa.Column("is_direct", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("progress", sa.Text),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String(36)),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("given_until", sa.BigInteger),
        sa.Column("emptied_at", sa.BigInteger),
        sa.Column("scan_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("media_type", sa.String(200)),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("blurhash", sa.String(200)),
        sa.Column("compare_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("file_id", name="pk_files"),
        sa.ForeignKeyConstraint(["owner"], ["users.username"], name="fk_files_owner"),
        if_not_exists=True,
    )
    for column in ("object_key", "expires_at", "compare_at", "scan_at"):
        op.create_index(f"ix_files_{column}", "files", [column], if_not_exists=True)
    op.create_index("ix_files_owner", "files", ["owner", "created_at"], if_not_exists=True)
    op.create_index("ix_files_size", "files", ["owner", "size"], if_not_exists=True)
    op.create_index("ix_files_sha256", "files", ["sha256", "created_at"], if_not_exists=True)
    op.create_table(
        "file_uses",
        sa.Column("conversation_id", sa.String(36), nullable=False),
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("sender_id", sa.String(32), nullable=False),
        sa.Column("file_id", sa.String(36), nullable=False),
        sa.Column("check_at", sa.BigInteger),
        sa.PrimaryKeyConstraint(
            "conversation_id", "message_id", "sender_id", "file_id", name="pk_file_uses"
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.conversation_id"],
            name="fk_file_uses_conversation_id",
        ),
        sa.ForeignKeyConstraint(["file_id"], ["files.file_id"], name="fk_file_uses_file_id"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_file_uses_file_id", "file_uses", ["file_id", "sender_id"], if_not_exists=True
    )
    op.create_index("ix_file_uses_check_at", "file_uses", ["check_at"], if_not_exists=True)
