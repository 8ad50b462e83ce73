"""`chat4all read`."""

import click

from chat4all.client import Client
from chat4all.terminal.asking import Asker, asking
from chat4all.terminal.meaning import complete_conversation, conversation_id
from chat4all.terminal.output import Output
from chat4all.terminal.paging import newest_seq


@click.command()
@click.argument("conversation", shell_complete=complete_conversation)
@click.argument("seq", required=False, type=click.IntRange(1))
@asking
def read(asker: Asker, conversation: str, seq: int | None) -> None:
    """Mark a CONVERSATION as read, up to the message number SEQ or to the newest one."""

    async def mark(chat: Client, output: Output) -> None:
        key = await conversation_id(chat, conversation)
        upto = seq or await newest_seq(chat, key)
        if upto:
            await chat.read(key, upto)
        said = f"Read up to message {upto}." if upto else "There is no message."
        await output.tell(said, {"conversation_id": key, "seq": upto})

    asker.run(mark)
