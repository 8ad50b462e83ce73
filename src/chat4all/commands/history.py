"""`chat4all history`."""

import sys

import click
from rich.console import Console
from rich.progress import Progress

from chat4all.client import Client
from chat4all.terminal.asking import Asker, asking
from chat4all.terminal.meaning import complete_conversation, conversation_id
from chat4all.terminal.output import Output
from chat4all.terminal.paging import PAGE_MAX, Stretch, stretch
from chat4all.terminal.showing import Screen


@click.command()
@click.argument("conversation", shell_complete=complete_conversation)
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="So many messages."
)
@click.option("--all", "everything", is_flag=True, help="All messages, whatever --limit is.")
@click.option("--before", type=click.IntRange(1), help="Only messages below this number.")
@click.option("--after", type=click.IntRange(0), help="Only messages above it, the lowest first.")
@asking
def history(
    asker: Asker,
    conversation: str,
    limit: int,
    everything: bool,
    before: int | None,
    after: int | None,
) -> None:
    """Print messages of a CONVERSATION, oldest first: the newest 50, or as many as you say.

    In JSON each line is a message as the interface has it.
    """

    async def show(chat: Client, output: Output) -> None:
        key = await conversation_id(chat, conversation)
        part = await stretch(chat, key, None if everything else limit, before, after)
        screen, progress = Screen(), _progress(part)
        task = progress.add_task("Messages", total=len(part))
        with progress:
            async for page in part.pages(chat):
                for message in page:
                    if output.is_text:
                        await output.put(screen.message(message))
                    else:
                        await output.put_json(message)
                progress.advance(task, len(page))

    asker.run(show)


def _progress(part: Stretch) -> Progress:
    """Return what shows how far it is, where the messages themselves are not seen."""
    is_seen = sys.stderr.isatty() and not sys.stdout.isatty()
    return Progress(
        console=Console(stderr=True),
        transient=True,
        disable=not is_seen or len(part) <= PAGE_MAX,
    )
