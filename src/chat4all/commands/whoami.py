"""`chat4all whoami`."""

import click
import msgspec

from chat4all.client import Client
from chat4all.terminal.asking import Asker, asking
from chat4all.terminal.output import Output
from chat4all.terminal.showing import visible


@click.command()
@asking
def whoami(asker: Asker) -> None:
    """Say who is signed in, as the server knows it, and where the tokens are kept."""
    account = asker.account()

    async def show(chat: Client, output: Output) -> None:
        me = await chat.me()
        name = f" ({visible(me.display_name)})" if me.display_name else ""
        where = "the keyring" if account.place == "keyring" else f"{account.folder}"
        who = f"{visible(me.username)}{name}"
        kept = {"url": account.url, "secrets": account.place}
        await output.tell(
            f"{who} at {account.url}; tokens in {where}", msgspec.to_builtins(me) | kept
        )

    asker.run(show)
