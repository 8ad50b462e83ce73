"""`chat4all conversations`."""

import click

from chat4all.client import Client, ListedConversation
from chat4all.terminal.asking import Asker, asking
from chat4all.terminal.meaning import PAGE
from chat4all.terminal.output import Output
from chat4all.terminal.showing import Screen


@click.command()
@click.option("--unread", is_flag=True, help="Only those with unread messages.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    help="At most so many.  [default: all]",
)
@asking
def conversations(asker: Asker, unread: bool, limit: int | None) -> None:
    """List your conversations, the newest activity first."""

    async def show(chat: Client, output: Output) -> None:
        found: list[ListedConversation] = []
        count = 0
        async for one in chat.conversations(limit=min(limit or PAGE, PAGE)):
            if unread and not one.unread:
                continue
            if output.is_text:
                found.append(one)
            else:
                await output.put_json(one)
            count += 1
            if count == limit:
                break
        if found:
            await output.put(Screen().conversations(found))

    asker.run(show)
