"""Column types that differ between databases."""

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.ext.compiler import compiles


class Json(JSON):
    """JSON, stored as JSONB on a server: CockroachDB has no other.

    SQLAlchemy's own JSONB would load its PostgreSQL dialect on one machine too.
    """

    cache_ok = True


@compiles(Json, "postgresql")
@compiles(Json, "cockroachdb")
def _on_a_server(_type: Json, _compiler: Any, **_: Any) -> str:
    return "JSONB"
