"""The command `chat4all`: its commands, and how a refusal is printed."""

import errno
import importlib
import io
import os
import sys
from typing import Any

import click

from chat4all import __version__
from chat4all.concurrency.output import discard_output, open_standard_descriptors, say
from chat4all.domain.acting import Actor, act_as, system_account
from chat4all.domain.errors import CommandRefused, OutcomeUnknown, StartRefused, Unavailable
from chat4all.terminal.failing import OUTCOME_UNKNOWN, REFUSED

PIPE_CLOSED = 128 + 13
"""The status of any command whose reader has gone: a shell shows SIGPIPE so."""

INTERRUPTED = 128 + 2
"""The status after Ctrl-C: a shell shows SIGINT so."""

_OUTPUT_FAILED = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

USERS = {
    "login": "Sign in, for all commands of users.",
    "logout": "Sign out.",
    "whoami": "Say who is signed in.",
    "conversations": "List your conversations.",
    "history": "Print the messages of a conversation.",
    "send": "Send a message.",
    "send-file": "Send a file.",
    "download": "Save the file of a message.",
    "files": "List your files, and delete them.",
    "tail": "Print messages as they come.",
    "read": "Mark a conversation as read.",
    "group": "Create a group, show its members, add and remove them.",
}

OPERATORS = {
    "up": "Start everything on this machine.",
    "gateway": "Run a gateway of a cluster.",
    "router": "Run a router of a cluster.",
    "metadata": "Run a metadata service of a cluster.",
    "migrate": "Make a cluster's topics, keyspace and tables.",
    "demo": "Make a development cluster's demonstration data.",
    "users": "Create, list, disable, delete users, and what was done to them.",
    "groups": "Show groups, and give one to another owner.",
    "secrets": "Make a cluster's secrets, once.",
    "ready": "Ask a service on this machine whether it is ready.",
    "doctor": "Say what is wrong with this installation.",
    "dead-letters": "List, show and replay records that could not be processed.",
    "backup": "Copy all data, while it is in use or not.",
    "restore": "Put a backup into a new data folder.",
    "bench": "Measure this machine and compare with the bars.",
}

COMMANDS = OPERATORS | USERS
"""Each is in the module of its name in `chat4all.commands`, loaded when it is called."""


class _Commands(click.Group):
    """The commands, in this order. A refusal is one sentence on standard error and a status.

    See `terminal.failing`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"chat4all.commands.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, commands in (("For operators", OPERATORS), ("For users", USERS)):
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command. What it prints goes to whatever takes it."""
        open_standard_descriptors()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A name may have characters that the locale lacks.
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if error.filename is not None or error.errno not in _OUTPUT_FAILED:
                raise
            discard_output()
            say(f"chat4all: the output cannot be written ({error.strerror})")
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> object:
        try:
            result = self._invoke(ctx)
            sys.stdout.flush()  # while an error can be told
        except BrokenPipeError:
            # The reader has all that it wants: `chat4all users list | head`.
            discard_output()
            raise click.exceptions.Exit(PIPE_CLOSED) from None
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except click.Abort as aborted:
            if isinstance(aborted.__context__, KeyboardInterrupt):  # while a prompt waits
                raise click.exceptions.Exit(INTERRUPTED) from None
            raise
        return result

    def _invoke(self, ctx: click.Context) -> object:
        refused: BaseException | None = None
        try:
            ctx.args = [_text(one) for one in ctx.args]
            return super().invoke(ctx)
        except* (StartRefused, CommandRefused, Unavailable) as group:
            refused = _first(group)
        say(f"chat4all: {_sentence(refused)}")  # the status says it too
        raise click.exceptions.Exit(_status(refused))


def _sentence(refused: BaseException) -> str:
    if isinstance(refused, OutcomeUnknown):
        return f"{refused}: it may have been done; look before you do it again"
    return str(refused)


def _status(refused: BaseException) -> int:
    if isinstance(refused, CommandRefused):
        return refused.status
    return OUTCOME_UNKNOWN if isinstance(refused, OutcomeUnknown) else REFUSED


def _text(argument: str) -> str:
    """Return an argument as text in UTF-8, whatever the locale is; refuse bytes that are none.

    Python keeps bytes that are not of the locale as code points that nothing takes.
    """
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise CommandRefused("an argument is not text in UTF-8") from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chat4all")
def main() -> None:
    """Chat4All: a messaging backend that loses, doubles and reorders nothing."""
    act_as(Actor(operator=system_account()))
