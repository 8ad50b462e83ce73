"""`chat4all users` on a cluster's database."""

import json
import subprocess

import pytest

from tests.databases import Databases
from tests.faults.running import environment
from tests.forked import run_command

pytestmark = [pytest.mark.slow, pytest.mark.engines]


def command(dsn: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return run_command(
        ["users", *arguments], environment() | {"DATABASE_URL": dsn}, stdin, seconds=50
    )


def test_users_of_a_cluster(databases: Databases) -> None:
    dsn = databases.new().dsn
    new = ("create", "carla", "--email", "carla@example.com", "--password-stdin")
    assert command(dsn, *new, stdin="long enough\n").returncode == 0
    again = command(dsn, *new, stdin="long enough\n")
    assert (again.returncode, again.stderr) == (1, "chat4all: this username is taken\n")
    assert command(dsn, "disable", "carla").returncode == 0
    listed = command(dsn, "list").stdout
    assert listed.startswith("carla  carla@example.com")
    assert listed.endswith("(disabled)\n")
    actions = [line.split()[2] for line in command(dsn, "audit").stdout.splitlines()]
    assert actions == ["user-disabled", "user-created"]
    exported = json.loads(command(dsn, "export", "carla", "--no-messages").stdout)
    assert exported["profile"]["email"] == "carla@example.com"
    assert [entry["action"] for entry in exported["audit"]] == ["user-exported", *actions]
    assert command(dsn, "delete", "carla", "--yes").returncode == 0
    gone = command(dsn, "export", "carla", "--no-messages")
    assert (gone.returncode, gone.stderr) == (1, "chat4all: no such user\n")


def test_a_database_without_tables_is_told(databases: Databases) -> None:
    told = command(databases.empty().dsn, "list")
    assert told.returncode == 1
    assert "chat4all migrate" in told.stderr
