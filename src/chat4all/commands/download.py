"""`chat4all download`."""

import click

from chat4all.client import Client, Message
from chat4all.terminal.asking import Asker, asking
from chat4all.terminal.failing import NOT_FOUND, Failed
from chat4all.terminal.meaning import complete_conversation, conversation_id
from chat4all.terminal.output import Output
from chat4all.terminal.transferring import exists, progress, target_of


@click.command()
@click.argument("conversation", shell_complete=complete_conversation)
@click.argument("seq", type=click.IntRange(1))
@click.argument("path", required=False)
@click.option("--force", is_flag=True, help="Replace what is at PATH.")
@asking
def download(asker: Asker, conversation: str, seq: int, path: str | None, force: bool) -> None:
    """Save the file of message SEQ of a CONVERSATION.

    It is saved in this folder under its own name, or at PATH. If interrupted, the same command
    resumes. The file appears once it is complete and was checked.
    """

    async def work(chat: Client, output: Output) -> None:
        place = await conversation_id(chat, conversation)
        payload = (await _message(chat, place, seq)).payload or {}
        if (file_id := payload.get("file_id")) is None:
            raise Failed(f"message {seq} has no file", NOT_FOUND)
        target = target_of(path, str(payload.get("name") or ""), replaces=force)
        with progress(target.name) as shown:
            try:
                await chat.download(str(file_id), target, replaces=force, on_progress=shown)
            except FileExistsError as error:
                raise exists(error.filename) from None
            except OSError as error:
                raise Failed(f"{target} was not written: {error.strerror}") from None
        saved = {"path": str(target), "file_id": file_id, "size": payload.get("size")}
        await output.tell(f"Saved as {target}.", saved)

    asker.run(work)


async def _message(chat: Client, conversation: str, seq: int) -> Message:
    async for page in chat.history(conversation, after=seq - 1, limit=1):
        for message in page:
            if message.seq == seq:
                return message
    raise Failed(f"there is no message {seq}", NOT_FOUND)
