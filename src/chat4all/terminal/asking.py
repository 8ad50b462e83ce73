"""Running a user's command: its options, its client, and how an error ends it."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias
from uuid import uuid4

import click

from chat4all.client import (
    Client,
    ClientError,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from chat4all.concurrency.output import speak_in_background
from chat4all.domain.ids import canonical_uuid
from chat4all.terminal.accounts import Account, find, parsed_url
from chat4all.terminal.failing import (
    NOT_FOUND,
    NOT_SIGNED_IN,
    OUTCOME_UNKNOWN,
    REFUSED,
    UNAVAILABLE,
    Failed,
)
from chat4all.terminal.output import Output
from chat4all.terminal.showing import visible
from chat4all.terminal.signing_in import CALL_SECONDS, client_of

Work: TypeAlias = Callable[[Client, Output], Coroutine[Any, Any, None]]

_STATUSES: tuple[tuple[type[ClientError], int], ...] = (
    (NotSignedIn, NOT_SIGNED_IN),
    (NotFound, NOT_FOUND),
    (OutcomeUnknown, OUTCOME_UNKNOWN),
    (Unavailable, UNAVAILABLE),
    (ClientError, REFUSED),
)


@dataclass(frozen=True)
class Asker:
    """What the options say about who asks, and how the answer is printed."""

    url: str | None
    username: str | None
    as_json: bool | None

    def account(self) -> Account:
        """Return the account that is meant; `Failed` where nobody is signed in."""
        return find(self.url, self.username)

    def run(self, work: Work, seconds: float = CALL_SECONDS) -> None:
        """Do the work of a command as this user; a call may take so many seconds, with retries."""
        account = self.account()

        async def asked() -> None:
            async with client_of(account, seconds) as chat:
                await work(chat, Output(as_json=self.as_json))

        run(asked())


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, or until a signal ends it. Raises `Failed` for what went wrong.

    What is said on standard error meanwhile is written in the background: if nothing takes it, the
    event loop still goes on, and hears signals.
    """
    speak_in_background()
    with failures():
        asyncio.run(_until_ended(work))


async def _until_ended(work: Coroutine[Any, Any, None]) -> None:
    """Await it; SIGTERM and SIGHUP end it between two lines, as Ctrl-C does."""
    loop, received = asyncio.get_running_loop(), list[signal.Signals]()
    try:
        async with asyncio.timeout(None) as scope:

            def end(number: signal.Signals) -> None:
                if not received:
                    scope.reschedule(loop.time())
                received.append(number)

            for number in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
                    loop.add_signal_handler(number, end, number)
            await work
    except TimeoutError:
        if not received:
            raise
        raise click.exceptions.Exit(128 + received[0]) from None


@contextmanager
def failures() -> Iterator[None]:
    """Turn errors of the client, and of the files that are kept, into `Failed`."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise Failed(f"{error.filename}: {error.strerror}") from None
    except ClientError as error:
        status = next(status for kind, status in _STATUSES if isinstance(error, kind))
        raise Failed(sentence_of(error), status) from None


def sentence_of(error: ClientError) -> str:
    """Return what an error says, each broken rule in its place."""
    if isinstance(error, Refused) and error.errors:
        rules = (f"{rule.pointer.removeprefix('/')}: {rule.detail}" for rule in error.errors)
        return visible("; ".join(rules))
    return visible(str(error))


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all users' commands; it gets them as an `Asker`, first."""

    @click.option(
        "--json/--text",
        "as_json",
        default=None,
        help="JSON, one value a line, or text.  [default: text in a terminal, else JSON]",
    )
    @click.option(
        "--user",
        envvar="CHAT4ALL_USER",
        help="Who asks, of several who are signed in.  "
        "[env var: CHAT4ALL_USER; default: who signed in last]",
    )
    @click.option(
        "--url",
        envvar="CHAT4ALL_URL",
        help="Where a gateway is.  [env var: CHAT4ALL_URL; default: that of the last login]",
    )
    @wraps(command)
    def with_asker(*, url: str | None, user: str | None, as_json: bool | None, **rest: Any) -> None:
        check_environment()
        asker = Asker(parsed_url(url) if url is not None else None, user or None, as_json)
        with failures():
            command(asker, **rest)

    return with_asker


def check_environment() -> None:
    """Raise `StartRefused` where a typing error would have another user or server asked."""
    ours = ("CHAT4ALL_USER", "CHAT4ALL_URL")
    if any(name.upper().startswith("CHAT4ALL_") and name not in ours for name in os.environ):
        from chat4all.settings import check_names  # noqa: PLC0415 - takes a quarter of a second

        check_names()


def key_of(text: str | None, option: str) -> str:
    """Return the key of something that is done once, as it was given by an option, or a new one."""
    if text is None:
        return str(uuid4())
    try:
        return canonical_uuid(text)
    except ValueError:
        raise click.UsageError(f"{option} is a UUID, such as `uuidgen` prints.") from None
