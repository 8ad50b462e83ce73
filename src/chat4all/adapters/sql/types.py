"""Column types that are not the same everywhere."""

from typing import Any

from sqlalchemy import JSON
from sqlalchemy.ext.compiler import compiles


class Json(JSON):
    """JSON, kept as JSONB on a server: CockroachDB has no other.

    SQLAlchemy's own JSONB would load all of its PostgreSQL dialect on one machine too.
    """

    cache_ok = True


@compiles(Json, "postgresql")
@compiles(Json, "cockroachdb")
def _on_a_server(_type: Json, _compiler: Any, **_: Any) -> str:
    return "JSONB"
