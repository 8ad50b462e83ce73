"""Database URLs."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from chat4all.domain.errors import StartRefused

_DIALECTS = {"cockroachdb": "cockroachdb", "postgresql": "postgresql", "postgres": "postgresql"}


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A database on a server."""

    dialect: str
    """`cockroachdb` or `postgresql`."""

    dsn: str
    """`postgresql://…`, as libpq and asyncpg take it. It may have a password."""

    @property
    def without_password(self) -> str:
        """Dialect, host and port, for error texts: no user, no password."""
        return f"{self.dialect} at {urlsplit(self.dsn).netloc.rpartition('@')[2]}"


def parse_database_url(url: str) -> ServerUrl | Path:
    """Return the server, or the SQLite file, that a `DATABASE_URL` names.

    A driver in it (`cockroachdb+psycopg2://`) is removed. Raises
    `StartRefused` for anything but `cockroachdb://`, `postgresql://` and `sqlite:///`; the text has
    no part of the URL, which may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    name = scheme.partition("+")[0].lower()
    if separator and name == "sqlite":
        # As SQLAlchemy has it: three slashes and a relative path, four and an absolute one.
        path = unquote(rest.partition("?")[0].removeprefix("/"))
        if rest.startswith("/") and path and path != ":memory:":
            return Path(path)
        raise StartRefused("DATABASE_URL names no file: write sqlite:///folder/metadata.db")
    if not separator or name not in _DIALECTS:
        raise StartRefused(
            "DATABASE_URL is not usable: write cockroachdb://user@host:26257/database, "
            "postgresql://user@host:5432/database or sqlite:///folder/metadata.db"
        )
    try:
        parts = urlsplit(f"postgresql://{rest}")
        for host in parts.netloc.rpartition("@")[2].split(","):
            _ = urlsplit(f"//{host}").port
    except ValueError:
        raise _unreadable() from None
    # A slash in a password ends the host and port too early: they are the user and a part of it.
    if "@" in parts.path:
        raise _unreadable()
    if not parts.hostname or not parts.path.strip("/"):
        raise StartRefused("DATABASE_URL is not usable: it must name a host and a database")
    return ServerUrl(_DIALECTS[name], urlunsplit(parts))


def _unreadable() -> StartRefused:
    return StartRefused(
        "DATABASE_URL is not usable: its host and port cannot be read; in a password, write %2F "
        "for /, %40 for @ and so on"
    )
