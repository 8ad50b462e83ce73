"""Database URLs."""

from pathlib import Path

import pytest

from chat4all.adapters.sql.urls import ServerUrl, parse_database_url
from chat4all.domain.errors import StartRefused


@pytest.mark.parametrize(
    ("written", "dialect", "dsn"),
    [
        (
            "cockroachdb://root@localhost:26257/defaultdb?sslmode=disable",
            "cockroachdb",
            "postgresql://root@localhost:26257/defaultdb?sslmode=disable",
        ),
        (
            "cockroachdb+psycopg2://root@cockroachdb:26257/chat4all",
            "cockroachdb",
            "postgresql://root@cockroachdb:26257/chat4all",
        ),
        ("postgresql://u:p%40@h/d", "postgresql", "postgresql://u:p%40@h/d"),
        ("postgres://u@h/d", "postgresql", "postgresql://u@h/d"),
        ("postgresql+asyncpg://u@h1:1,h2:2/d", "postgresql", "postgresql://u@h1:1,h2:2/d"),
    ],
)
def test_servers(written: str, dialect: str, dsn: str) -> None:
    assert parse_database_url(written) == ServerUrl(dialect, dsn)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("sqlite:///metadata.db", "metadata.db"),
        ("sqlite+aiosqlite:////srv/chat/my%20metadata.db", "/srv/chat/my metadata.db"),
    ],
)
def test_files(written: str, path: str) -> None:
    assert parse_database_url(written) == Path(path)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "very-secret",
        "mysql://u:very-secret@h/d",
        "postgresql://u:very-secret@/d",
        "postgresql://u:very-secret@h",
        "postgresql://u:very-secret@[h/d",
        "postgresql://u:very-secret/x@h/d",
        "postgresql://u:1234/very-secret@h/d",
        "postgresql://u:very-secret?x@h/d",
        "postgresql://u:1234#very-secret@h/d",
        "postgresql://u:very-secret@h:99999/d",
        "postgresql://u:very-secret@h:port/d",
        "postgresql://u:very-secret@h1:1,h2:x/d",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
    ],
)
def test_what_cannot_be_used_is_refused_without_its_password(written: str) -> None:
    with pytest.raises(StartRefused, match=r"^DATABASE_URL ") as refused:
        parse_database_url(written)
    assert "very-secret" not in str(refused.value)


def test_a_server_is_shown_without_its_password() -> None:
    found = ServerUrl("cockroachdb", "postgresql://u:very@secret@h:26257/d")
    assert found.without_password == "cockroachdb at h:26257"
