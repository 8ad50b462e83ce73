"""Search keys of display names: the same on every engine, and in every spelling."""

import sqlalchemy as sa
from alembic import op

from chat4all.domain.text import search_key

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_MOST = 240


def upgrade() -> None:
    if op.get_context().as_sql:
        return  # printed statements cannot compute keys
    users = sa.table("users", *map(sa.column, ("username", "display_name", "display_key")))
    set_key = (
        sa.update(users)
        .where(
            users.c.username == sa.bindparam("who"),
            # Or else the release before, which still runs, has changed both.
            users.c.display_name == sa.bindparam("name"),
        )
        .values(display_key=sa.bindparam("key"))
    )
    connection = op.get_bind()
    named = sa.select(users.c.username, users.c.display_name, users.c.display_key).where(
        users.c.display_name.is_not(None)
    )
    for username, display_name, key in connection.execute(named).all():
        new = search_key(display_name, _MOST)
        if new != key:
            connection.execute(set_key, {"who": username, "name": display_name, "key": new})
