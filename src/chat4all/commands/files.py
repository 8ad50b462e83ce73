"""`chat4all files`."""

import click
from click.core import ParameterSource

from chat4all.client import Client, NotFound, NotSignedIn, OutcomeUnknown, Refused
from chat4all.domain.ids import canonical_uuid
from chat4all.terminal.asking import Asker, asking, sentence_of
from chat4all.terminal.failing import NOT_FOUND, OUTCOME_UNKNOWN, REFUSED, Failed
from chat4all.terminal.meaning import PAGE
from chat4all.terminal.output import Output
from chat4all.terminal.showing import FILES_HEAD, Screen, visible


@click.group(invoke_without_command=True)
@click.option("--largest", is_flag=True, help="The largest first, in place of the newest.")
@click.option("-n", "--limit", type=click.IntRange(1), help="At most so many.  [default: all]")
@asking
def files(asker: Asker, largest: bool, limit: int | None) -> None:
    """List your own files, and uploads that are not whole yet; or delete them.

    What a message has is in use: it goes with the last message that has it. In JSON each line is a
    file as the interface has it, with your messages that have it.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return

    async def show(chat: Client, output: Output) -> None:
        screen, count = Screen(), 0
        order = "largest" if largest else "newest"
        async for one in chat.files(order=order, limit=min(limit or PAGE, PAGE)):
            if output.is_text and count == 0:
                await output.put(f"{FILES_HEAD}\n")
            if output.is_text:
                await output.put(screen.file(one))
            else:
                await output.put_json(one)
            count += 1
            if count == limit:
                break

    asker.run(show)


@files.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@asking
def delete(asker: Asker, ids: tuple[str, ...]) -> None:
    """Delete the files with these IDs, or give up uploads, up to the first that is refused.

    One that is not there is passed over, so that the command can be repeated, and told at the end.
    """
    keys = [_key(one) for one in ids]

    async def work(chat: Client, output: Output) -> None:
        missing = []
        for key in keys:
            try:
                await chat.delete_file(key)
            except NotSignedIn:
                raise
            except NotFound:
                missing.append(key)
                continue
            except OutcomeUnknown as error:
                unknown = f"it is not known whether {key} was deleted ({error}): do it again"
                raise Failed(visible(unknown), OUTCOME_UNKNOWN) from None
            except Refused as error:
                raise Failed(f"{key} was not deleted: {sentence_of(error)}", REFUSED) from None
            await output.tell(f"{key} was deleted.", {"file_id": key, "done": "deleted"})
        if missing:
            raise Failed(f"no file of yours, or deleted before: {', '.join(missing)}", NOT_FOUND)

    asker.run(work)


def _refuse_options(context: click.Context) -> None:
    """Refuse options before the name of another command: they are not that command's."""
    for name in context.params:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"Put options behind `{context.invoked_subcommand}`.")


def _key(text: str) -> str:
    try:
        return canonical_uuid(text)
    except ValueError:
        raise click.UsageError("ID is a file's, as `chat4all files` lists them.") from None
