"""`chat4all users`: what an operator does about people."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from pydantic import EmailStr, TypeAdapter, ValidationError

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.adapters.sql import Database, SqlAudit, SqlUsers
from chat4all.adapters.sql.schema import NEWEST, revision
from chat4all.adapters.sql.transactions import Transactions
from chat4all.domain.errors import CommandRefused, InvalidInput, Refused
from chat4all.domain.ids import Username
from chat4all.domain.people import User, UserChanges, display_name_errors, password_errors
from chat4all.domain.times import format_utc
from chat4all.logs import quieten_libraries
from chat4all.operations.installation import existing_folder, of_cluster, settings_from
from chat4all.operations.options import cluster_option, data_option, json_option
from chat4all.operations.running import load_cluster_module
from chat4all.usecases.signing_up import SigningUp

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PAGE = 500


class _Opened(NamedTuple):
    """The users of an installation, for an operator, and the audit."""

    users: SqlUsers
    audit: SqlAudit


def _where(command: F) -> F:
    """Give a command the options that say which installation it is about."""
    return data_option(cluster_option(command))


def _password(command: F) -> F:
    """Give a command the option `--password-stdin`."""
    return click.option(
        "--password-stdin",
        is_flag=True,
        help="Read the password from standard input, its first line, instead of asking for it.",
    )(command)


@click.group()
def users() -> None:
    """Create, list, disable and enable users, and give them new passwords.

    All of this works while Chat4All runs, which knows within 5 s, and while it does not. It is
    noted in the audit.
    """


@users.command()
@click.argument("username")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--display-name", default="", help="Shown beside the username.")
@_password
@_where
def create(
    username: str,
    email: str,
    display_name: str,
    password_stdin: bool,
    data: Path | None,
    cluster: bool,
) -> None:
    """Create the user USERNAME, also where sign-up is closed."""
    if errors := display_name_errors(display_name):
        raise CommandRefused(f"--display-name: {errors[0].detail}")
    try:
        TypeAdapter(EmailStr).validate_python(email)
    except ValidationError:
        raise CommandRefused("--email: not an e-mail address") from None
    password = _ask_password(from_stdin=password_stdin)

    async def run(opened: _Opened) -> None:
        passwords = BcryptPasswords()
        try:
            await SigningUp(opened.users, passwords).sign_up(username, email, password)
        finally:
            passwords.close()
        if display_name:
            changes = UserChanges(display_name=display_name)
            await opened.users.change_user(Username(username), changes)

    _do(run, data, cluster)
    click.echo(f"{username} can sign in.")


@users.command("list")
@click.option("--query", default="", help="Only those whose username or display name begins so.")
@json_option
@_where
def list_(query: str, as_json: bool, data: Path | None, cluster: bool) -> None:
    """List users by name, also those who are disabled."""

    async def run(opened: _Opened) -> None:
        after, more = "", True
        while more:
            found = await opened.users.find_users(query, PAGE, after, also_disabled=True)
            for user in found:
                click.echo(json.dumps(_described(user)) if as_json else _line(user))
            more = len(found) == PAGE
            after = found[-1].username if found else ""

    _do(run, data, cluster)


@users.command()
@click.argument("username")
@_where
def disable(username: str, data: Path | None, cluster: bool) -> None:
    """Keep USERNAME from signing in and end all their sessions."""
    _do(lambda opened: opened.users.disable_user(Username(username)), data, cluster)
    click.echo(f"{username} is disabled, and signed out within 5 s.")


@users.command()
@click.argument("username")
@_where
def enable(username: str, data: Path | None, cluster: bool) -> None:
    """Let USERNAME sign in again."""
    _do(lambda opened: opened.users.disable_user(Username(username), disabled=False), data, cluster)
    click.echo(f"{username} can sign in again.")


@users.command()
@click.argument("username")
@_password
@_where
def passwd(username: str, password_stdin: bool, data: Path | None, cluster: bool) -> None:
    """Give USERNAME a new password and end all their sessions."""
    password = _ask_password(from_stdin=password_stdin)
    if errors := password_errors(password):
        raise CommandRefused(f"the password is not usable: {errors[0].detail}")

    async def run(opened: _Opened) -> None:
        passwords = BcryptPasswords()
        try:
            changes = UserChanges(password_hash=await passwords.hash(password))
        finally:
            passwords.close()
        await opened.users.change_user(Username(username), changes)

    _do(run, data, cluster)
    click.echo(f"{username} has a new password, and is signed out within 5 s.")


@users.command()
@click.option("--of", "username", help="Only what this user did, or what was done to them.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@json_option
@_where
def audit(
    username: str | None, limit: int, as_json: bool, data: Path | None, cluster: bool
) -> None:
    """List what operators did, and what members did to groups and to one another; newest first."""

    async def run(opened: _Opened) -> None:
        for entry in await opened.audit.newest(limit, username):
            at = format_utc(datetime.fromtimestamp(entry.at / 1000, UTC))
            shown = {
                "at": at,
                "actor": entry.actor or "operator",
                "action": entry.action,
                "username": entry.username,
                "conversation_id": entry.conversation_id,
                "details": dict(entry.details),
            }
            if as_json:
                click.echo(json.dumps(shown))
            else:
                details = " ".join(f"{name}={value}" for name, value in entry.details.items())
                words = (at, shown["actor"], entry.action, entry.username, entry.conversation_id)
                click.echo("  ".join(str(word) for word in (*words, details) if word))

    _do(run, data, cluster)


def _do(run: Callable[[_Opened], Awaitable[None]], data: Path | None, cluster: bool) -> None:
    async def opened() -> None:
        async with _open(data, cluster) as found:
            await run(found)

    try:
        asyncio.run(opened())
    except InvalidInput as error:
        first = error.errors[0]
        raise CommandRefused(f"{first.pointer.removeprefix('/')}: {first.detail}") from None
    except Refused as error:
        raise CommandRefused(str(error)) from None


@asynccontextmanager
async def _open(data: Path | None, cluster: bool) -> AsyncIterator[_Opened]:
    settings = settings_from(data=data)
    if of_cluster(settings, asked=cluster, data=data):
        quieten_libraries()
        cluster_module = load_cluster_module("chat4all.operations.cluster")
        async with cluster_module.ready_database(settings.metadata.database_url) as there:
            yield _opened(there)
        return
    file = existing_folder(data) / "metadata.db"
    here = Database(file)
    try:
        if not file.is_file() or await here.read(revision) != NEWEST:
            raise CommandRefused(
                f"{file} is another release's: start this release of Chat4All with it once"
            )
        yield _opened(here)
    finally:
        await here.close()


def _opened(database: Transactions) -> _Opened:
    return _Opened(SqlUsers(database, audited=True), SqlAudit(database))


def _ask_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _described(user: User) -> dict[str, object]:
    return {
        "username": user.username,
        "display_name": user.display_name,
        "email": user.email,
        "created_at": user.created_at,
        "disabled": user.is_disabled,
    }


def _line(user: User) -> str:
    shown = [user.username, user.email, user.created_at]
    if user.display_name:
        shown.append(user.display_name)
    if user.is_disabled:
        shown.append("(disabled)")
    return "  ".join(shown)
