"""`chat4all dead-letters`: what became of records that could not be processed."""

import asyncio
import base64
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import click

from chat4all.adapters.embedded import DataFolder, EmbeddedLog, EmbeddedStore
from chat4all.adapters.embedded.folder import is_held
from chat4all.domain.errors import CommandRefused, Unavailable
from chat4all.domain.ids import BEFORE_ALL, LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.domain.times import format_utc
from chat4all.logs import quieten_libraries
from chat4all.operations.installation import existing_folder, of_cluster, settings_from
from chat4all.operations.options import cluster_option, data_option, json_option
from chat4all.operations.running import load_cluster_module
from chat4all.ports.dead_letters import DeadLetters
from chat4all.settings import Settings
from chat4all.usecases.replaying import Replaying

PAGE = 100
"""Letters in memory at a time; each may have 64 KiB or so."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

PATIENCE_SECONDS = 30.0
"""How long to wait for a file that the running Chat4All writes to without a pause."""

CLOCKS_MS = 60_000
"""How far this machine's clock may be ahead of Kafka's."""

_Where: TypeAlias = Path | Settings
"""A data folder, or a cluster."""


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and replay records that could not be processed.

    They were accepted, but could not become messages, and were put aside with their cause; the
    others went on. All of this works while Chat4All runs and while it does not.

    A position is a number on one machine, and EPOCH.PARTITION.OFFSET in a cluster.
    """


@dead_letters.command("list")
@data_option
@cluster_option
@json_option
def list_(data: Path | None, cluster: bool, as_json: bool) -> None:
    """List all of them, oldest first: where, when, whose, why, and whether replayed."""
    where = _where(data, cluster)
    found = [_described(letter, where) for letter in asyncio.run(_list(where))]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo("There are no dead letters.")
    else:
        click.echo(_table(found))


@dead_letters.command()
@click.argument("position")
@data_option
@cluster_option
@json_option
@click.option("--raw", is_flag=True, help="Print the record's bytes as they are, and nothing else.")
def show(position: str, data: Path | None, cluster: bool, as_json: bool, raw: bool) -> None:
    """Show the one at POSITION with its original bytes.

    To correct it: show POSITION --raw > FILE, edit the file, replay POSITION --value FILE.
    """
    where = _where(data, cluster)
    letter = asyncio.run(_show(where, _position(position, where)))
    if raw:
        sys.stdout.buffer.write(letter.value)
        return
    shown = _shown(letter, where)
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    else:
        width = max(len(name) for name in shown)
        for name, value in shown.items():
            click.echo(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")


@dead_letters.command()
@click.argument("positions", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Replay all that were not replayed yet.")
@click.option(
    "--value",
    "corrected",
    type=click.File("rb"),
    help="Replay the record in this file (- is standard input) in place of the original.",
)
@click.option("--again", is_flag=True, help="Also what was replayed before.")
@data_option
@cluster_option
@json_option
def replay(
    positions: Sequence[str],
    every: bool,
    corrected: Any,
    again: bool,
    data: Path | None,
    cluster: bool,
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
    where = _where(data, cluster)
    named = [_position(position, where) for position in positions]
    done = asyncio.run(_replay(where, named, value, again))
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

    position: int | str
    replayed_as: int | str | None
    refused: str | None


class _Opened(NamedTuple):
    letters: DeadLetters
    replaying: Replaying


def _where(data: Path | None, cluster: bool) -> _Where:
    settings = settings_from(data=data)
    if of_cluster(settings, asked=cluster, data=data):
        quieten_libraries()
        return settings
    return existing_folder(data)


def _position(text: str, where: _Where) -> LogPosition:
    """Return the position that an operator wrote."""
    count = 1 if isinstance(where, Path) else 3
    try:
        numbers = [int(part) for part in text.split(".")]
        if len(numbers) != count or min(numbers) < 0 or max(numbers[:-1], default=0) >= 2**31:
            raise ValueError
    except ValueError:
        what = "a number" if count == 1 else "EPOCH.PARTITION.OFFSET, three numbers"
        raise click.UsageError(f"A position is {what}: {text!r} is not.") from None
    return LogPosition(0, 0, numbers[0]) if count == 1 else LogPosition(*numbers)


def _written(position: LogPosition, where: _Where) -> int | str:
    """Return a position as an operator reads and writes it."""
    return position.offset if isinstance(where, Path) else ".".join(map(str, position))


@asynccontextmanager
async def _opened(where: _Where) -> AsyncIterator[_Opened]:
    if isinstance(where, Path):
        async with _opened_folder(where) as (log, store):
            yield _Opened(store, Replaying(log, store))
    else:
        cluster = load_cluster_module("chat4all.operations.cluster")
        async with cluster.log_and_dead_letters(where.kafka, where.cassandra) as (log, letters):
            replaying = Replaying(
                log,
                letters,
                now_ms=lambda: time.time_ns() // 1_000_000 - CLOCKS_MS,
                written=lambda position: str(_written(position, where)),
            )
            yield _Opened(letters, replaying)


@asynccontextmanager
async def _opened_folder(folder: Path) -> AsyncIterator[tuple[EmbeddedLog, EmbeddedStore]]:
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


async def _all(letters: DeadLetters) -> AsyncIterator[DeadLetter]:
    after = BEFORE_ALL
    while page := await letters.all(PAGE, after):
        for letter in page:
            yield letter
        after = page[-1].log_position


async def _list(where: _Where) -> list[DeadLetter]:
    """Return all letters without their values."""
    async with _opened(where) as it:
        return [_without_value(letter) async for letter in _all(it.letters)]


async def _show(where: _Where, position: LogPosition) -> DeadLetter:
    async with _opened(where) as it:
        return await _letter(it.letters, position, where)


async def _replay(
    where: _Where, positions: Sequence[LogPosition], value: bytes | None, again: bool
) -> list[Replayed]:
    """Replay these, or all when there are none; one that is refused does not keep the others."""
    done = []
    async with _opened(where) as it:
        if not positions:
            positions = [
                x.log_position async for x in _all(it.letters) if again or x.replayed_by is None
            ]
        for position in positions:
            written = _written(position, where)
            try:
                letter = await _letter(it.letters, position, where)
                new = await it.replaying.replay(letter, value, again=again)
            except (CommandRefused, Unavailable) as error:
                done.append(Replayed(written, None, str(error)))
            else:
                done.append(Replayed(written, _written(new, where), None))
    return done


async def _letter(letters: DeadLetters, position: LogPosition, where: _Where) -> DeadLetter:
    letter = await letters.get(position)
    if letter is None:
        raise CommandRefused(
            f"there is no dead letter at {_written(position, where)}: see "
            "`chat4all dead-letters list`"
        )
    return letter


def _without_value(letter: DeadLetter) -> DeadLetter:
    return DeadLetter(
        letter.log_position,
        letter.cause,
        letter.key,
        b"",
        letter.put_aside_ms,
        letter.replayed_ms,
        letter.replayed_by,
    )


def _described(letter: DeadLetter, where: _Where) -> dict[str, Any]:
    by = letter.replayed_by
    return {
        "position": _written(letter.log_position, where),
        "put_aside_at": _time(letter.put_aside_ms),
        "conversation": " ".join(_text(letter.key)[1].split()),
        "cause": letter.cause,
        "replayed_as": None if by is None else _written(by, where),
        "replayed_at": _time(letter.replayed_ms),
    }


def _shown(letter: DeadLetter, where: _Where) -> dict[str, Any]:
    encoding, text = _text(letter.value)
    return {
        **_described(letter, where),
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


def _table(letters: Sequence[dict[str, Any]]) -> str:
    head = ("POSITION", "PUT ASIDE", "CONVERSATION", "REPLAYED", "CAUSE")
    rows = [head]
    for found in letters:
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
