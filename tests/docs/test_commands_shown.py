"""Calls of `chat4all` in the blocks of the documentation: there are such commands and options."""

import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path

import click
import pytest

from chat4all.cli import main
from tests.docs.blocks import blocks
from tests.docs.test_links import PAGES

PUNCTUATION = set("();<>|&")
KEYWORDS = {"until", "while", "if", "do", "then", "$"}


def lines(page: Path) -> list[str]:
    """Return the lines of a page that somebody types."""
    text = page.read_text().replace("\\\n", " ")
    typed = "".join(blocks(text, "sh")).splitlines()
    typed += re.findall(r"^\$ (.+)", "".join(blocks(text, "console")), re.MULTILINE)
    return [line for line in typed if "chat4all" in line]


def simple_commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each command in a line, without what is assigned in front of it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= PUNCTUATION:
            words.append(word)
            continue
        yield [*dropwhile(lambda one: one in KEYWORDS or re.match(r"\w+=", one), words)]
        # What follows < and > is a file.
        words = ["a-file"] if word in ("<", ">") else []


def arguments(words: list[str]) -> list[str] | None:
    """Return what a command calls `chat4all` with; None where it calls something else."""
    match words:
        case ["chat4all", *rest] | ["docker", "exec", "chat4all", "chat4all", *rest]:
            return rest
        case ["docker", "run" | "create", *_]:
            is_program = re.compile(r"chat4all:[\d.]+").fullmatch
        case _:
            is_program = re.compile(r"\S+/bin/chat4all").fullmatch
    found = [*dropwhile(lambda word: not is_program(word), words)]
    return found[1:] if found else None


CALLS = [
    pytest.param(given, id=f"{page}: {shlex.join(given)}")
    for page in PAGES
    for line in lines(page)
    for words in simple_commands(line)
    if (given := arguments(words)) is not None
]


def test_calls_of_every_form_are_found() -> None:
    shown = [str(one.id) for one in CALLS]
    assert len(shown) > 30
    for call in ("login ana", "up", "send Equipe", "backup /var/lib/chat4all/monday", "migrate"):
        assert any(one.endswith(f": {call}") for one in shown), call


@pytest.mark.parametrize("given", CALLS)
def test_a_call_that_is_shown_is_one(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # The files that are named are the reader's.
    for kind in (click.Path, click.File):
        monkeypatch.setattr(kind, "convert", lambda _self, value, *_: value)
    command: click.Command = main
    context = click.Context(command)
    rest = [*given]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, name := rest.pop(0))
        assert found is not None, f"there is no command {name}"
        command, context = found, click.Context(found, context, name)
    command.make_context(command.name, rest, context.parent)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_that_installs_it_says_how_it_is_called(page: Path) -> None:
    text = page.read_text()
    typed = blocks(text, "sh")
    called = [at for at, block in enumerate(typed) if re.search(r"^chat4all ", block, re.MULTILINE)]
    if called and any(block.startswith("make run") for block in typed):
        assert ". .venv/bin/activate\n" in typed[: called[0]]
