"""`chat4all users`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import click
from pydantic import EmailStr, Field, TypeAdapter, ValidationError

from chat4all.adapters.crypto import BcryptPasswords
from chat4all.domain.errors import CommandRefused
from chat4all.domain.ids import Username
from chat4all.domain.passwords import password_errors
from chat4all.domain.people import UserChanges
from chat4all.domain.people import display_name as normal_display_name
from chat4all.domain.text import UnfitText
from chat4all.operations import exporting
from chat4all.operations.options import (
    cluster_option,
    data_option,
    json_option,
    password_line,
    password_option,
)
from chat4all.operations.user_output import audit_fields, audit_line, user_fields, user_line
from chat4all.operations.users import OpenedUsers, with_users
from chat4all.usecases.signing_up import SigningUp

F = TypeVar("F", bound=Callable[..., Any])

Address = Annotated[EmailStr, Field(max_length=320)]
"""As over HTTP."""

PAGE = 500


def _installation(command: F) -> F:
    """Give a command the options that select an installation."""
    return data_option(cluster_option(command))


@click.group()
def users() -> None:
    """Create, list, disable, enable, export and delete users, and give them new passwords.

    All of this works while Chat4All runs, which knows within 5 s, and while it does not. All but
    lists is noted in the audit.
    """


@users.command()
@click.argument("username")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--display-name", default="", help="Shown beside the username.")
@password_option
@_installation
def create(
    username: str,
    email: str,
    display_name: str,
    password_stdin: bool,
    data: Path | None,
    cluster: bool,
) -> None:
    """Create the user USERNAME, also where sign-up is closed."""
    try:
        display_name = normal_display_name(display_name)
    except UnfitText as error:
        raise CommandRefused(f"--display-name: {error}") from None
    try:
        email = TypeAdapter(Address).validate_python(email)
    except ValidationError:
        raise CommandRefused("--email: not an e-mail address") from None
    password = _ask_password(from_stdin=password_stdin)

    async def run(opened: OpenedUsers) -> None:
        passwords = BcryptPasswords()
        try:
            signing_up = SigningUp(opened.users, passwords, opened.creations)
            await signing_up.sign_up(username, email, password, display_name or None)
        finally:
            passwords.close()

    with_users(run, data, cluster=cluster)
    click.echo(f"{username} can sign in.")


@users.command("list")
@click.option("--query", default="", help="Only those whose username or display name begins so.")
@json_option
@_installation
def list_(query: str, as_json: bool, data: Path | None, cluster: bool) -> None:
    """List users by name, also those who are disabled."""

    async def run(opened: OpenedUsers) -> None:
        after, more = "", True
        while more:
            page = await opened.users.find_users(query, PAGE, after, also_disabled=True)
            for user in page:
                click.echo(json.dumps(user_fields(user)) if as_json else user_line(user))
            more = len(page) == PAGE
            after = page[-1].username if page else ""

    with_users(run, data, cluster=cluster)


@users.command()
@click.argument("username")
@_installation
def disable(username: str, data: Path | None, cluster: bool) -> None:
    """Keep USERNAME from signing in and end all their sessions."""

    async def run(opened: OpenedUsers) -> None:
        await opened.users.disable_user(Username(username))
        click.echo(f"{username} is disabled, and signed out within 5 s.")
        if groups := await opened.groups.without_acting_owner():
            click.echo(
                f"{len(groups)} groups have no owner who can sign in: `chat4all groups list`, "
                "`chat4all groups hand-over`."
            )

    with_users(run, data, cluster=cluster)


@users.command()
@click.argument("username")
@_installation
def enable(username: str, data: Path | None, cluster: bool) -> None:
    """Let USERNAME sign in again."""
    with_users(
        lambda opened: opened.users.disable_user(Username(username), disabled=False),
        data,
        cluster=cluster,
    )
    click.echo(f"{username} can sign in again.")


@users.command()
@click.argument("username")
@password_option
@_installation
def passwd(username: str, password_stdin: bool, data: Path | None, cluster: bool) -> None:
    """Give USERNAME a new password and end all their sessions."""
    password = _ask_password(from_stdin=password_stdin)
    if errors := password_errors(password):
        raise CommandRefused(f"the password is not usable: {errors[0].detail}")

    async def run(opened: OpenedUsers) -> None:
        passwords = BcryptPasswords()
        try:
            changes = UserChanges(password_hash=await passwords.hash(password))
        finally:
            passwords.close()
        await opened.users.change_user(Username(username), changes)

    with_users(run, data, cluster=cluster)
    click.echo(f"{username} has a new password, and is signed out within 5 s.")


@users.command()
@click.argument("username")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_installation
def delete(username: str, yes: bool, data: Path | None, cluster: bool) -> None:
    """Erase USERNAME: personal data, sessions and memberships. It cannot be undone.

    What they wrote stays, under an alias, and nobody gets the name again. A group that they alone
    owned goes to another member.
    """
    if not yes:
        click.confirm(f"Erase {username} for good?", abort=True, err=True)

    async def run(opened: OpenedUsers) -> None:
        name = Username(username)
        await opened.users.erase_user(name)
        alias = (await opened.users.aliases([name]))[name]
        click.echo(f"{username} is erased, and signed out within 5 s.")
        click.echo(f"Their messages are shown as {alias}'s.")

    with_users(run, data, cluster=cluster)


@users.command()
@click.argument("username")
@click.option("--no-messages", is_flag=True, help="Without messages and read markers.")
@_installation
def export(username: str, no_messages: bool, data: Path | None, cluster: bool) -> None:
    """Print all that is kept about USERNAME, as JSON: it is personal data.

    Profile, sessions, memberships, entries of the audit, read markers and their own messages; no
    secrets. On one machine the messages are those of all conversations, in a cluster those of the
    conversations that they are in.
    """

    async def run(opened: OpenedUsers) -> None:
        written = None if no_messages else opened.written
        async for text in exporting.export(opened, Username(username), written):
            click.echo(text, nl=False)

    with_users(run, data, cluster=cluster)


@users.command()
@click.option("--of", "username", help="Only what this user did, or what was done to them.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@json_option
@_installation
def audit(
    username: str | None, limit: int, as_json: bool, data: Path | None, cluster: bool
) -> None:
    """List who did what, and from where: operators and users, newest first."""

    async def run(opened: OpenedUsers) -> None:
        for entry in await opened.audit.newest(limit, username):
            click.echo(json.dumps(audit_fields(entry)) if as_json else audit_line(entry))

    with_users(run, data, cluster=cluster)


def _ask_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return password_line()
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
