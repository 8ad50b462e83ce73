"""`chat4all bench`: measure this machine and compare with the bars."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import click

import chat4all
from chat4all.operations.ending import ended_by_signals

PARTS = ("accept", "router", "history", "people", "live", "files", "start", "page")
USUAL = PARTS[:-1]
"""What is measured when nothing is named: `page` needs a browser."""
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


def _parts(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    named = tuple(part.strip() for part in value.split(","))
    unknown = [part for part in named if part not in PARTS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in named)


@click.command()
@click.option("--quick", is_flag=True, help="Short and small: a hint, not a figure.")
@click.option(
    "--only",
    "parts",
    default=",".join(USUAL),
    callback=_parts,
    metavar="PART,...",
    help=f"Some of {', '.join(PARTS)}.  [default: all but page, which needs a browser]",
)
@click.option("--rounds", type=click.IntRange(1, 100), help="Rounds whose median counts.")
@click.option("--json", "json_file", type=_FILE, help="Write everything measured here.")
@click.option(
    "--png",
    "png_file",
    type=_FILE,
    default=Path("chat4all-bench.png"),
    show_default=True,
    help="Draw the picture here.",
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where data is kept meanwhile: its disk is measured.  [default: for temporary files]",
)
@click.option("--check", is_flag=True, help="Exit with 1 when a bar is missed.")
def bench(
    quick: bool,
    parts: tuple[str, ...],
    rounds: int | None,
    json_file: Path | None,
    png_file: Path,
    folder: Path | None,
    check: bool,
) -> None:
    """Measure Chat4All on this machine, beside floors that store nothing.

    About ten minutes; --quick takes one. Needs a machine that does nothing else: rounds in which
    other processes used more than 5 % of the processor are repeated.
    """
    suite, table = _module("suite"), _module("table")
    effort = suite.QUICK if quick else suite.FULL
    if rounds is not None:
        effort = replace(effort, rounds=rounds)
    with ended_by_signals():  # its servers and its folder are not left behind
        result = suite.run(chat4all.__version__, parts, effort, _say, quick=quick, folder=folder)
    if json_file is not None:
        json_file.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    click.echo(table.table(result))
    _draw(result, png_file)
    if not result.complete or (check and not result.met):
        sys.exit(1)


def _say(text: str) -> None:
    with suppress(OSError):  # the figures count, and they go elsewhere
        click.echo(text, err=True)


def _draw(result: object, file: Path) -> None:
    if find_spec("matplotlib") is None:
        click.echo("No picture: it needs matplotlib; pip install 'chat4all[bench]'", err=True)
        return
    draw: Callable[[object, Path], None] = _module("picture").draw
    draw(result, file)
    click.echo(f"Picture: {file}", err=True)


def _module(name: str) -> ModuleType:
    """Return a module of the suite: inside the package in a wheel, otherwise next to `src`."""
    if find_spec("chat4all.bench_suite") is not None:
        return import_module(f"chat4all.bench_suite.{name}")
    root = Path(chat4all.__file__).parents[2]
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return import_module(f"bench.{name}")
