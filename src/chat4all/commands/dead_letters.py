"""`chat4all dead-letters`."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from chat4all.concurrency.output import say
from chat4all.domain.ids import LogPosition
from chat4all.operations.dead_letter_output import as_text, details, summary, table
from chat4all.operations.dead_letter_sources import LetterSource, MalformedPosition, letter_source
from chat4all.operations.dead_letters import get_letter, list_letters, replay_letters
from chat4all.operations.options import cluster_option, data_option, json_option
from chat4all.terminal.failing import OUTCOME_UNKNOWN, REFUSED


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
    source = letter_source(data, cluster=cluster)
    letters = asyncio.run(list_letters(source))
    summaries = [summary(letter, source.format_position) for letter in letters]
    if as_json:
        click.echo(json.dumps(summaries, indent=2))
    elif not summaries:
        click.echo("There are no dead letters.")
    else:
        click.echo(table(summaries))


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
    source = letter_source(data, cluster=cluster)
    letter = asyncio.run(get_letter(source, _parsed(source, position)))
    if raw:
        sys.stdout.buffer.write(letter.value)
        return
    fields = details(letter, source.format_position)
    if as_json:
        click.echo(json.dumps(fields, indent=2))
    else:
        width = max(len(name) for name in fields)
        for name, value in fields.items():
            click.echo(f"{name.replace('_', ' '):{width}}  {as_text(value)}")


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
    source = letter_source(data, cluster=cluster)
    parsed = [_parsed(source, position) for position in positions]
    outcomes = asyncio.run(replay_letters(source, parsed, value, again=again))
    if as_json:
        click.echo(json.dumps([outcome._asdict() for outcome in outcomes], indent=2))
    elif not outcomes:
        click.echo("There is nothing to replay.")
    else:
        for outcome in outcomes:
            if outcome.refused is None:
                click.echo(f"{outcome.position} was replayed as {outcome.replayed_as}")
            else:
                say(f"chat4all: {outcome.refused}")
    if any(outcome.may_be_done for outcome in outcomes):
        sys.exit(OUTCOME_UNKNOWN)
    if any(outcome.refused for outcome in outcomes):
        sys.exit(REFUSED)


def _parsed(source: LetterSource, position: str) -> LogPosition:
    try:
        return source.parse_position(position)
    except MalformedPosition as error:
        raise click.UsageError(str(error)) from None
