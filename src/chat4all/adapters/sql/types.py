"""Column types and orders that differ between databases."""

from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class Json(JSON):
    """JSON, stored as JSONB on a server: CockroachDB has no other.

    SQLAlchemy's own JSONB would load its PostgreSQL dialect on one machine too.
    """

    cache_ok = True


@compiles(Json, "postgresql")
@compiles(Json, "cockroachdb")
def _on_a_server(_type: Json, _compiler: Any, **_: Any) -> str:
    return "JSONB"


class ByBytes(FunctionElement[str]):
    """A text that is sorted and compared by its bytes, as Python, SQLite and CockroachDB do it.

    By default PostgreSQL does both as the locale of its database says. Every ORDER BY and every
    `<` or `>` of a text needs this.
    """

    type = String()
    inherit_cache = True
    name = "by_bytes"


@compiles(ByBytes)
def _as_it_is(element: ByBytes, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(ByBytes, "postgresql")
def _on_postgresql(element: ByBytes, compiler: Any, **options: Any) -> str:
    return f'{compiler.process(element.clauses, **options)} COLLATE "C"'
