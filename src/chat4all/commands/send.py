"""`chat4all send`."""

import asyncio
import shlex
import sys

import click

from chat4all.client import Client, Defect, NotSignedIn, OutcomeUnknown, Unavailable
from chat4all.domain.errors import CommandRefused
from chat4all.terminal.asking import Asker, asking, key_of, sentence_of
from chat4all.terminal.failing import (
    NOT_FOUND,
    NOT_SIGNED_IN,
    OUTCOME_UNKNOWN,
    REFUSED,
    Failed,
)
from chat4all.terminal.meaning import complete_conversation, conversation_to_write_to
from chat4all.terminal.output import Output

STDIN = "-"
"""In the place of the text: it is read from standard input."""

BYTES_MAX = 1024 * 1024
"""Of standard input; no server takes so much. It is read no further."""


@click.command()
@click.argument("conversation", envvar="CHAT4ALL_CHAT", shell_complete=complete_conversation)
@click.argument("text", required=False)
@click.option("--reply-to", metavar="SEQ", help="The number, or the id, of the message answered.")
@click.option("--mention", "mentions", multiple=True, help="Tell this member. May be repeated.")
@click.option("--keep-unread", is_flag=True, help="Do not mark the conversation as read.")
@click.option(
    "--id",
    "message_id",
    help="The message's own id, a UUID: however often it is sent with that, it is there once.  "
    "[default: a new one]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=30.0,
    show_default=True,
    help="Seconds after which to give up, with all retries.",
)
@asking
def send(
    asker: Asker,
    conversation: str,
    text: str | None,
    reply_to: str | None,
    mentions: tuple[str, ...],
    keep_unread: bool,
    message_id: str | None,
    timeout: float,
) -> None:
    """Send TEXT to a CONVERSATION. A text of - , or none at all, is read from standard input.

    @NAME is the private conversation with that person, which is created if there is none.
    CHAT4ALL_CHAT is the CONVERSATION where none is given.

    It is tried again while the server does not answer. If it is not known at the end whether the
    message was sent, the exit status is 6 and its id is told: send it again with --id.
    """
    key = key_of(message_id, "--id")
    content = _content(text)

    async def work(chat: Client, output: Output) -> None:
        try:
            place = await conversation_to_write_to(chat, conversation)
        except OutcomeUnknown as error:  # of creating the conversation, which may be repeated
            raise Unavailable(f"it was not sent: {error}") from None
        answered = await _message_id(chat, place, reply_to) if reply_to else None
        try:
            await chat.send(
                place,
                content,
                message_id=key,
                reply_to=answered,
                mentions=mentions,
                mark_read=not keep_unread,
            )
        except (OutcomeUnknown, asyncio.CancelledError) as error:
            again = f"chat4all send --id {key} {shlex.quote(conversation)} …"
            why = "" if isinstance(error, asyncio.CancelledError) else f" ({error})"
            sentence = f"it is not known whether it was sent{why}: `{again}` sends it once"
            if isinstance(error, OutcomeUnknown):
                raise Failed(sentence, OUTCOME_UNKNOWN) from None
            click.echo(f"chat4all: {sentence}", err=True)
            raise
        except (NotSignedIn, Defect) as error:
            # An earlier try may have sent it, and these can be mended.
            told = f"{sentence_of(error)}; if you send it again, add `--id {key}`"
            status = NOT_SIGNED_IN if isinstance(error, NotSignedIn) else REFUSED
            raise Failed(told, status) from None
        try:
            await output.tell(f"Sent ({key}).", {"message_id": key, "conversation_id": place})
        except OSError:
            click.echo(f"chat4all: it was sent ({key})", err=True)
            raise

    asker.run(work, seconds=timeout)


def _content(text: str | None) -> str:
    if text is not None and text != STDIN:
        return text
    if text is None and sys.stdin.isatty():
        raise click.UsageError("Give a TEXT, or - to write it here and end it with Ctrl-D.")
    read = sys.stdin.buffer.read(BYTES_MAX + 1)
    if len(read) > BYTES_MAX:
        raise CommandRefused("standard input is too long for a message")
    try:
        return read.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CommandRefused("standard input is not text in UTF-8") from None


async def _message_id(chat: Client, conversation: str, which: str) -> str:
    """Return the id of a message that was named by its number or its id."""
    if not which.isdecimal():
        return which
    async for page in chat.history(conversation, after=int(which) - 1, limit=1):
        for message in page:
            return message.message_id
    raise Failed(f"--reply-to: there is no message {which}", NOT_FOUND)
