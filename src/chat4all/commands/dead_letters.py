"""`chat4all dead-letters`: what became of records that could not be processed."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from chat4all.adapters.embedded import DataFolder, EmbeddedLog, EmbeddedStore
from chat4all.adapters.embedded.folder import is_held
from chat4all.commands.given import existing_folder
from chat4all.commands.options import data_option, json_option
from chat4all.domain.errors import CommandRefused, Unavailable
from chat4all.domain.ids import BEFORE_ALL, LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.usecases.replaying import Replaying
from chat4all.wire.records import format_utc

PAGE = 100
"""Letters in memory at a time; each may have 64 KiB or so."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

PATIENCE_SECONDS = 30.0
"""How long to wait for a file that the running Chat4All writes to without a pause."""


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and replay records that could not be processed.

    They were accepted, but could not become messages, and were put aside with their cause; the
    others went on. All of this works while Chat4All runs and while it does not.
    """


@dead_letters.command("list")
@data_option
@json_option
def list_(data: Path | None, as_json: bool) -> None:
    """List all of them, oldest first: where, when, whose, why, and whether replayed."""
    found = asyncio.run(_list(existing_folder(data)))
    if as_json:
        click.echo(json.dumps([_described(x) for x in found], indent=2))
    elif not found:
        click.echo("There are no dead letters.")
    else:
        click.echo(_table(found))


@dead_letters.command()
@click.argument("position", type=int)
@data_option
@json_option
@click.option("--raw", is_flag=True, help="Print the record's bytes as they are, and nothing else.")
def show(position: int, data: Path | None, as_json: bool, raw: bool) -> None:
    """Show the one at POSITION with its original bytes.

    To correct it: show POSITION --raw > FILE, edit the file, replay POSITION --value FILE.
    """
    letter = asyncio.run(_show(existing_folder(data), position))
    if raw:
        sys.stdout.buffer.write(letter.value)
    elif as_json:
        click.echo(json.dumps(_shown(letter), indent=2))
    else:
        width = max(len(name) for name in _shown(letter))
        for name, value in _shown(letter).items():
            click.echo(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")


@dead_letters.command()
@click.argument("positions", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Replay all that were not replayed yet.")
@click.option(
    "--value",
    "corrected",
    type=click.File("rb"),
    help="Replay the record in this file (- is standard input) in place of the original.",
)
@click.option("--again", is_flag=True, help="Also what was replayed before.")
@data_option
@json_option
def replay(
    positions: Sequence[int],
    every: bool,
    corrected: Any,
    again: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Append the ones at POSITIONS to the log again, as new records.

    Each gets the next number of its conversation, and is stored once, however often it is replayed:
    the same message_id of the same sender is the same message. What still cannot be processed is
    refused; mend it with --value.
    """
    if bool(positions) == every:
        raise click.UsageError("Name positions, or --all.")
    if corrected is not None and len(positions) != 1:
        raise click.UsageError("--value is for one position.")
    value = None if corrected is None else corrected.read()
    done = asyncio.run(_replay(existing_folder(data), positions, value, again))
    if as_json:
        click.echo(json.dumps([x._asdict() for x in done], indent=2))
    elif not done:
        click.echo("There is nothing to replay.")
    else:
        for one in done:
            if one.refused is None:
                click.echo(f"{one.position} was replayed as {one.replayed_as}")
            else:
                click.echo(f"chat4all: {one.refused}", err=True)
    if any(one.refused for one in done):
        sys.exit(1)


class Replayed(NamedTuple):
    """What came of one replay: its new position, or why not."""

    position: int
    replayed_as: int | None
    refused: str | None


@asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[tuple[EmbeddedLog, EmbeddedStore]]:
    """Open both files: as a guest of the process that holds the folder, or else as its holder."""
    async with AsyncExitStack() as stack:
        guest = await asyncio.to_thread(is_held, folder)
        if not guest:
            stack.enter_context(DataFolder(folder))
        log = EmbeddedLog(
            folder / "log.db",
            deadline=2 * PATIENCE_SECONDS,
            busy_seconds=PATIENCE_SECONDS,
            guest=guest,
        )
        stack.push_async_callback(log.close)
        store = EmbeddedStore(folder / "store.db", busy_seconds=PATIENCE_SECONDS, guest=guest)
        stack.push_async_callback(store.close)
        await log.open()
        await store.open()
        yield log, store


async def _all(store: EmbeddedStore) -> AsyncIterator[DeadLetter]:
    after = BEFORE_ALL
    while page := await store.all(PAGE, after):
        for letter in page:
            yield letter
        after = page[-1].position


async def _list(folder: Path) -> list[DeadLetter]:
    """Return all letters without their values."""
    async with _opened(folder) as (_, store):
        return [_without_value(letter) async for letter in _all(store)]


async def _show(folder: Path, position: int) -> DeadLetter:
    async with _opened(folder) as (_, store):
        return await _letter(store, position)


async def _replay(
    folder: Path, positions: Sequence[int], value: bytes | None, again: bool
) -> list[Replayed]:
    """Replay these, or all when there are none; one that is refused does not keep the others."""
    done = []
    async with _opened(folder) as (log, store):
        replaying = Replaying(log, store)
        if not positions:
            positions = [
                x.position.offset async for x in _all(store) if again or x.replayed_by is None
            ]
        for position in positions:
            try:
                letter = await _letter(store, position)
                new = await replaying.replay(letter, value, again=again)
            except (CommandRefused, Unavailable) as error:
                done.append(Replayed(position, None, str(error)))
            else:
                done.append(Replayed(position, new.offset, None))
    return done


async def _letter(store: EmbeddedStore, position: int) -> DeadLetter:
    letter = await store.get(LogPosition(0, 0, position))
    if letter is None:
        raise CommandRefused(
            f"there is no dead letter at {position}: see `chat4all dead-letters list`"
        )
    return letter


def _without_value(letter: DeadLetter) -> DeadLetter:
    return DeadLetter(
        letter.position,
        letter.cause,
        letter.key,
        b"",
        letter.put_aside_ms,
        letter.replayed_ms,
        letter.replayed_by,
    )


def _described(letter: DeadLetter) -> dict[str, Any]:
    return {
        "position": letter.position.offset,
        "put_aside_at": _time(letter.put_aside_ms),
        "conversation": " ".join(_text(letter.key)[1].split()),
        "cause": letter.cause,
        "replayed_as": None if letter.replayed_by is None else letter.replayed_by.offset,
        "replayed_at": _time(letter.replayed_ms),
    }


def _shown(letter: DeadLetter) -> dict[str, Any]:
    encoding, text = _text(letter.value)
    return {
        **_described(letter),
        "bytes": len(letter.value),
        "value_encoding": encoding,
        "value": text,
    }


def _text(raw: bytes) -> tuple[str, str]:
    """Return how bytes are written out, and that: as they are only where no terminal minds."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROL.search(text):
        return "base64", base64.b64encode(raw).decode()
    return "utf-8", text


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return format_utc(datetime.fromtimestamp(milliseconds / 1000, UTC))


def _table(letters: Sequence[DeadLetter]) -> str:
    head = ("POSITION", "PUT ASIDE", "CONVERSATION", "REPLAYED", "CAUSE")
    rows = [head]
    for letter in letters:
        found = _described(letter)
        as_ = found["replayed_as"]
        rows.append(
            (
                str(found["position"]),
                found["put_aside_at"] or "-",
                found["conversation"],
                "no" if as_ is None else f"as {as_}",
                found["cause"],
            )
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = ("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
