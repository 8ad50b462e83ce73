"""`chat4all login`."""

import asyncio
from contextlib import suppress

import click

from chat4all.client import Client, ClientError, NotSignedIn, Token
from chat4all.operations.options import password_line, password_option
from chat4all.terminal.accounts import (
    DEFAULT_URL,
    Account,
    all_accounts,
    find,
    is_exposed,
    parsed_url,
)
from chat4all.terminal.asking import check_environment, failures, run, sentence_of
from chat4all.terminal.failing import NOT_SIGNED_IN, Failed
from chat4all.terminal.output import Output
from chat4all.terminal.secrets import Place, choose_place
from chat4all.terminal.showing import visible
from chat4all.terminal.signing_in import CALL_SECONDS, DEVICE, Kept, locked, read_kept

SIGN_OUT_SECONDS = 2.0
"""For the session that a new one replaces."""


@click.command()
@failures()
@click.argument("username", required=False)
@click.option(
    "--url",
    envvar="CHAT4ALL_URL",
    help="Where a gateway is.  "
    f"[env var: CHAT4ALL_URL; default: that of the last login, else {DEFAULT_URL}]",
)
@password_option
@click.option(
    "--secrets",
    "place",
    type=click.Choice(["keyring", "file"]),
    help="Where to keep the tokens.  [default: the keyring if there is one, else a file]",
)
def login(username: str | None, url: str | None, password_stdin: bool, place: Place | None) -> None:
    """Sign in as USERNAME, for all other commands, until `chat4all logout`.

    What is kept are tokens, never the password: in the keyring, if the package `keyring` is
    installed and this system has one, else in a file that only you can read.
    """
    check_environment()
    url = parsed_url(url) if url else _last_url()
    if is_exposed(url):
        click.echo(f"chat4all: {url} is not encrypted: your password can be read", err=True)
    if username is None and password_stdin:
        raise click.UsageError("--password-stdin needs a USERNAME.")
    username = username or click.prompt("Username", err=True)
    if password_stdin:
        password = password_line()
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    run(_login(url, username, password, choose_place(place)))


async def _login(url: str, username: str, password: str, place: Place) -> None:
    if not password:
        raise Failed("no password was given", NOT_SIGNED_IN)
    tokens: list[Token] = []
    try:
        async with Client(
            url,
            username,
            password,
            on_tokens=tokens.append,
            timeout=CALL_SECONDS,
            user_agent=DEVICE,
        ) as chat:
            account = Account(url, (await chat.me()).username, place)
    except NotSignedIn as error:
        raise NotSignedIn(f"{username} cannot sign in: {sentence_of(error)}") from None
    # Before the former session is ended: what goes on with it takes the new one then.
    replaced = await _keep(account, tokens[-1])
    if replaced is not None:
        await _end(url, replaced)
    await Output().tell(
        visible(f"You are signed in as {account}."),
        {"username": account.username, "url": url, "secrets": place},
    )


async def _keep(account: Account, token: Token) -> Kept | None:
    """Keep a new session; return the one that it replaces."""
    account.make_folder()
    # A process that is renewing the former session would write over the new one.
    async with locked(account):
        former = next((one for one in all_accounts() if one.folder == account.folder), None)
        replaced: Kept | None = None
        if former is not None:
            with suppress(Failed):
                replaced = read_kept(former)
        account.save()
        account.vault.write(Kept.of(token).encoded())
        if former is not None and former.place != account.place:
            with suppress(Failed):
                former.vault.remove()
    return replaced


async def _end(url: str, kept: Kept) -> None:
    """End a session that another one replaces, if that is possible now."""
    with suppress(ClientError, TimeoutError):
        async with (
            asyncio.timeout(SIGN_OUT_SECONDS),
            Client(url, refresh_token=kept.refresh_token, user_agent=DEVICE) as chat,
        ):
            await chat.logout()


def _last_url() -> str:
    try:
        return find(None, None).url
    except Failed:
        return DEFAULT_URL
