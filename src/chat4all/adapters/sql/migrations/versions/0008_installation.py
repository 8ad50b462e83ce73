"""Which installation the database is of."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("only_row", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("installation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("only_row", name="pk_installation"),
        sa.CheckConstraint("only_row = 1", name="ck_installation_only_row"),
        if_not_exists=True,
    )
