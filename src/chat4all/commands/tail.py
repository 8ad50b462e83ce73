"""`chat4all tail`."""

from contextlib import aclosing

import click

from chat4all.client import Client, Connected
from chat4all.terminal.asking import Asker, asking
from chat4all.terminal.cursors import opened
from chat4all.terminal.following import begin, each
from chat4all.terminal.meaning import complete_conversation, conversation_id
from chat4all.terminal.output import Output
from chat4all.terminal.telling import Teller

ALL = "all"
"""Names the cursors for all conversations."""

EVENT_SECONDS = 30.0
"""For each event up to now: `--no-follow` is to end, also where no connection can be had."""


@click.command()
@click.argument("conversation", required=False, shell_complete=complete_conversation)
@click.option(
    "-n",
    "--last",
    type=click.IntRange(0, 200),
    help="Begin with the last messages, so many; 0: with what comes from now on.  "
    "[default: go on where the last run ended; at first from now on]",
)
@click.option("--no-follow", is_flag=True, help="Print what there is by now, and end.")
@click.option(
    "--cursor",
    help="Keep the place under this name: each name is told everything, whoever else reads.  "
    "[default: one for each CONVERSATION, and one for all of them]",
)
@click.option(
    "--all-events", is_flag=True, help="Also who has read, who is typing, who came and left."
)
@asking
def tail(
    asker: Asker,
    conversation: str | None,
    last: int | None,
    no_follow: bool,
    cursor: str | None,
    all_events: bool,
) -> None:
    """Print messages as they come, of one CONVERSATION or of all, and what is changed of them.

    It goes on where the last run ended: nothing is missed, nothing printed twice. Breaks of the
    connection are told on standard error. It ends with Ctrl-C, or when nobody reads its output.
    """
    if last and conversation is None:
        raise click.UsageError("--last needs a CONVERSATION.")
    account = asker.account()

    async def follow(chat: Client, output: Output) -> None:
        key = await conversation_id(chat, conversation) if conversation is not None else None
        name = " ".join(part for part in (key or ALL, cursor) if part)
        with opened(account.folder / "tail", name) as place:
            followed = await begin(chat, place, key, last)
            teller = Teller(output, followed, all_events=all_events)
            if not no_follow:
                await teller.introduce()
            async with output.while_read():
                if followed.shown is not None:
                    await teller.messages(followed.shown.messages, followed.shown.position)
                waiting = EVENT_SECONDS if no_follow else None
                async with aclosing(each(followed, waiting)) as events:
                    async for event in events:
                        await teller.event(event)
                        if isinstance(event, Connected) and no_follow:
                            followed.keep()
                            return

    asker.run(follow)
