"""`chat4all group`: groups as their members have them. `chat4all groups` is the operator's."""

import shlex
from collections.abc import Awaitable, Callable

import click

from chat4all.client import Client, NotFound, NotSignedIn, OutcomeUnknown, Refused
from chat4all.terminal.asking import Asker, asking, key_of, sentence_of
from chat4all.terminal.failing import NOT_FOUND, OUTCOME_UNKNOWN, REFUSED, Failed
from chat4all.terminal.meaning import complete_conversation, conversation_id
from chat4all.terminal.output import Output
from chat4all.terminal.showing import visible
from chat4all.wire.problems import ProblemSlug, type_of

ALREADY_TAKEN = type_of(ProblemSlug.ALREADY_TAKEN)


@click.group()
def group() -> None:
    """Create a group, show its members, add and remove them."""


@group.command()
@click.argument("title")
@click.argument("usernames", nargs=-1)
@click.option(
    "--key",
    help="A UUID: within 24 hours the same group is created once with it.  [default: a new one]",
)
@asking
def create(asker: Asker, title: str, usernames: tuple[str, ...], key: str | None) -> None:
    """Create a group named TITLE, of you, its owner, and of USERNAMES.

    If it is not known at the end whether it was created, the exit status is 6 and the key is told.
    """
    used = key_of(key, "--key")

    async def work(chat: Client, output: Output) -> None:
        try:
            made = await chat.create_group(title, usernames, key=used)
        except OutcomeUnknown as error:
            names = shlex.join([title, *usernames])
            again = f"chat4all group create --key {used} {names}"
            raise Failed(
                visible(
                    f"it is not known whether it was created ({error}): `{again}` does it once"
                ),
                OUTCOME_UNKNOWN,
            ) from None
        name = visible(made.title or "")
        await output.tell(f"{name} was created ({made.conversation_id}).", made)

    asker.run(work)


@group.command()
@click.argument("conversation", metavar="GROUP", shell_complete=complete_conversation)
@asking
def members(asker: Asker, conversation: str) -> None:
    """List the members of a GROUP, by name, with their roles."""

    async def work(chat: Client, output: Output) -> None:
        async for member in chat.members(await conversation_id(chat, conversation)):
            await output.tell(f"{visible(member.username)}  {member.role}", member)

    asker.run(work)


@group.command()
@click.argument("conversation", metavar="GROUP", shell_complete=complete_conversation)
@click.argument("usernames", nargs=-1, required=True)
@click.option(
    "--role",
    type=click.Choice(["member", "admin", "owner"]),
    default="member",
    show_default=True,
    help="What they may do; only an owner gives another one.",
)
@asking
def add(asker: Asker, conversation: str, usernames: tuple[str, ...], role: str) -> None:
    """Add USERNAMES to a GROUP, as its admin or owner, up to the first that is refused.

    Who is a member already is passed over, so that the command can be repeated, and told at the
    end: their role stays as it is.
    """
    _for_each(
        asker,
        conversation,
        usernames,
        "added",
        lambda chat, key, name: chat.add_member(key, name, role=role),
        lambda error: error.type == ALREADY_TAKEN,
    )


@group.command()
@click.argument("conversation", metavar="GROUP", shell_complete=complete_conversation)
@click.argument("usernames", nargs=-1, required=True)
@asking
def remove(asker: Asker, conversation: str, usernames: tuple[str, ...]) -> None:
    """Remove USERNAMES from a GROUP, as its admin or owner, up to the first that is refused.

    Your own name: you leave it. Who is no member is passed over, so that the command can be
    repeated, and told at the end.
    """
    _for_each(
        asker,
        conversation,
        usernames,
        "removed",
        lambda chat, key, name: chat.remove_member(key, name),
        lambda error: isinstance(error, NotFound),
    )


def _for_each(
    asker: Asker,
    conversation: str,
    usernames: tuple[str, ...],
    done: str,
    change: Callable[[Client, str, str], Awaitable[object]],
    is_so_already: Callable[[Refused], bool],
) -> None:
    """Do the same for each name, up to the first that is refused.

    A refusal that says that it is so already is told at the end: an earlier try may have done it.
    """

    async def work(chat: Client, output: Output) -> None:
        key = await conversation_id(chat, conversation)
        passed_over: list[str] = []
        status = REFUSED
        for name in usernames:
            try:
                await change(chat, key, name)
            except NotSignedIn:
                raise
            except OutcomeUnknown as error:
                unknown = f"it is not known whether {name} was {done} ({error}): do it again"
                raise Failed(visible(unknown), OUTCOME_UNKNOWN) from None
            except Refused as error:
                status = NOT_FOUND if isinstance(error, NotFound) else REFUSED
                if not is_so_already(error):
                    told = f"{visible(name)} was not {done}: {sentence_of(error)}"
                    raise Failed(told, status) from None
                passed_over.append(f"{visible(name)} ({sentence_of(error)})")
                continue
            fields = {"conversation_id": key, "username": name, "done": done}
            await output.tell(f"{visible(name)} was {done}.", fields)
        if passed_over:
            raise Failed(f"not {done} now: {', '.join(passed_over)}", status)

    asker.run(work)
