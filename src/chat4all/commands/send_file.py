"""`chat4all send-file`."""

from pathlib import Path

import click

from chat4all.client import Client, UploadsFile
from chat4all.terminal.asking import Asker, asking, key_of
from chat4all.terminal.failing import Failed
from chat4all.terminal.meaning import complete_conversation, conversation_to_write_to
from chat4all.terminal.output import Output
from chat4all.terminal.transferring import progress


@click.command(name="send-file")
@click.argument("conversation", envvar="CHAT4ALL_CHAT", shell_complete=complete_conversation)
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("text", required=False)
@click.option("--name", help="The name that others see.  [default: its own]")
@click.option("--alt", help="A description for those who cannot see or hear it.")
@click.option(
    "--kind",
    type=click.Choice(["image", "audio", "video", "file"]),
    help="How it is shown.  [default: as its extension says]",
)
@click.option("--keep-unread", is_flag=True, help="Do not mark the conversation as read.")
@click.option(
    "--id",
    "message_id",
    help="The message's id, a UUID: however often it is sent with that, it is there once.  "
    "[default: one derived from the upload]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=30.0,
    show_default=True,
    help="Seconds without any progress after which to give up.",
)
@asking
def send_file(
    asker: Asker,
    conversation: str,
    path: Path,
    text: str | None,
    name: str | None,
    alt: str | None,
    kind: str | None,
    keep_unread: bool,
    message_id: str | None,
    timeout: float,
) -> None:
    """Send the file at PATH to a CONVERSATION, with a TEXT if you like.

    It resumes after breaks of the connection. If it is interrupted, the same command resumes the
    upload within a day, and the message is sent once.
    """
    key = key_of(message_id, "--id") if message_id else None
    uploads = UploadsFile(asker.account().folder / "uploads.json")

    async def work(chat: Client, output: Output) -> None:
        place = await conversation_to_write_to(chat, conversation)
        with progress(path.name) as shown:
            try:
                sent = await chat.send_file(
                    place,
                    path,
                    text,
                    kind=kind,
                    name=name,
                    alt=alt,
                    message_id=key,
                    mark_read=not keep_unread,
                    uploads=uploads,
                    on_progress=shown,
                )
            except ValueError as error:  # it was changed meanwhile
                raise Failed(str(error)) from None
        await output.tell(f"Sent ({sent}).", {"message_id": sent, "conversation_id": place})

    asker.run(work, seconds=timeout)
