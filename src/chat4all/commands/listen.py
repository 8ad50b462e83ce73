"""`chat4all listen`: the live interface as a user has it, one frame a line."""

import asyncio
import json
import sys
from contextlib import aclosing
from urllib.parse import urlsplit

import click

from chat4all.domain.errors import CommandRefused
from chat4all.operations.listening import Listener, conversation_of
from chat4all.operations.options import password_option
from chat4all.operations.signing_in import Account

INTERRUPTED = 128 + 2
"""The status after Ctrl-C: a shell shows SIGINT so."""


@click.command()
@click.option(
    "--url", default="http://localhost:8000", show_default=True, help="Where a gateway is."
)
@click.option("--username", required=True, help="Who listens.")
@password_option
@click.option("--conversation", help="Print only what is about the conversation of this id.")
def listen(url: str, username: str, password_stdin: bool, conversation: str | None) -> None:
    """Print what happens in a user's conversations, as it happens: JSON, one frame a line.

    After a break it goes on where it was: nothing is missed, nothing printed twice. It ends with
    Ctrl-C, or when its output is closed.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise CommandRefused("--url: give an address such as http://localhost:8000")
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    account = Account(url.rstrip("/"), username, password)
    try:
        asyncio.run(_listen(Listener(url.rstrip("/"), account, _tell), conversation))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        account.sign_out()


async def _listen(listener: Listener, conversation: str | None) -> None:
    async with aclosing(listener.frames()) as frames:
        async for frame in frames:
            if frame["type"] == "heartbeat":
                continue
            if conversation is None or conversation_of(frame) == conversation.lower():
                # Flushed: what reads it may wait for each line.
                click.echo(json.dumps(frame, ensure_ascii=False))


def _tell(why: str) -> None:
    click.echo(f"chat4all: {why}", err=True)
