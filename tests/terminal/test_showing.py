"""What people see of messages and conversations, as wide as their terminal."""

import io
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from chat4all.client import Reply
from chat4all.domain.changes import ReactionCount
from chat4all.domain.ids import Username
from chat4all.terminal import showing
from chat4all.terminal.showing import Screen, in_a_line, name_of, visible
from tests.terminal.made import listed, message

HOSTILE = "\x1b[2J\x1b]0;title\x07 \u202egnp\r x \x9b31m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 40 columns that can show colours."""
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "40", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(showing, "sys", SimpleNamespace(stdout=Terminal()))


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(showing, "sys", SimpleNamespace(stdout=io.StringIO()))


def rows(*shown: str) -> list[str]:
    """Return the lines without the days, and of each what is behind the time."""
    lines = "".join(shown).splitlines()
    return [line[11:] for line in lines if line.startswith("  ")]


def test_a_day_is_told_once(pipe: None) -> None:
    screen = Screen()
    shown = "".join(
        screen.message(message(seq, created_at=f"2026-01-{day}T12:00:00.000Z"))
        for seq, day in ((1, 30), (2, 30), (3, 31))
    )
    days = [line for line in shown.splitlines() if not line.startswith(" ")]
    assert days == ["Friday, 30 January 2026", "Saturday, 31 January 2026"]


def test_times_are_those_of_this_machine(pipe: None) -> None:
    here = datetime.fromisoformat("2026-01-31T12:00:00+00:00").astimezone()
    assert f"   1 {here:%H:%M} ana: Olá!" in Screen().message(message(1))


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({}, ["ana: Olá!"]),
        ({"content": "one\r\ntwo\n\tthree"}, ["ana: one", "two", "     three"]),
        ({"edited_at": "2026-01-31T12:00:00.000Z"}, ["ana: Olá!  (edited)"]),
        ({"content": "", "deleted_at": "2026-01-31T12:00:00.000Z"}, ["ana: deleted"]),
        (
            {"reactions": (ReactionCount("👍", 2, ()), ReactionCount("🎉", 1, (Username("x"),)))},
            ["ana: Olá!  👍 2  🎉"],
        ),
        (
            {"reply_to": Reply(1, "id", "bruno", "text", "What\nis it?", False)},
            ["ana: ↪ bruno: What is it?", "Olá!"],
        ),
        (
            {"reply_to": Reply(1, "id", "bruno", "text", "", True)},
            ["ana: ↪ bruno: deleted", "Olá!"],
        ),
        (
            {
                "content": "",
                "kind": "location",
                "payload": {"lat": -23.5, "lon": -46, "name": "Sé"},
            },
            ["ana: [location] Sé · -23.5, -46"],
        ),
        (
            {"content": "", "kind": "contact", "payload": {"name": "Ana", "phones": ["+55 11"]}},
            ["ana: [contact] Ana · +55 11"],
        ),
        ({"kind": "of-a-later-release", "payload": {}}, ["ana: [of-a-later-release] Olá!"]),
    ],
)
def test_a_message_says_what_it_is(pipe: None, fields: dict[str, Any], lines: list[str]) -> None:
    assert rows(Screen().message(message(1, **fields))) == lines


def test_what_others_wrote_cannot_drive_the_terminal(terminal: None) -> None:
    shown = Screen().message(
        message(
            1,
            HOSTILE,
            sender_id=HOSTILE,
            reply_to=Reply(1, "id", HOSTILE, "text", HOSTILE, False),
            reactions=(ReactionCount(HOSTILE, 1, ()),),
        ),
        place=in_a_line(HOSTILE),
    )
    shown += Screen().conversations(
        [listed(1, title=HOSTILE, last_message=message(1, HOSTILE, sender_id=HOSTILE))]
    )
    for bad in ("\x1b[2J", "\x1b]", "\x07", "\u202e", "\r", "\x9b"):
        assert bad not in shown
    assert "\N{REPLACEMENT CHARACTER}" in shown


def test_lines_are_broken_at_words_in_a_terminal_only(
    terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    long = message(1, "palavra " * 20)
    lines = Screen().message(long).splitlines()[1:]
    assert len(lines) > 4
    plain = [line.replace("\x1b[1m", "").replace("\x1b[2m", "") for line in lines]
    plain = [line.replace("\x1b[0m", "") for line in plain]
    assert all(len(line.rstrip()) <= 40 for line in plain)
    assert all(line.startswith(" " * 11 + "palavra") for line in plain[1:] if line.strip())
    monkeypatch.setattr(showing, "sys", SimpleNamespace(stdout=io.StringIO()))
    assert len(Screen().message(long).splitlines()) == 2


def test_colours_are_for_terminals_that_want_them(
    terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured = f"\x1b[1;{showing.named('ana').style}"
    assert "\x1b[1;3" in Screen().message(message(1)), coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;3" not in Screen().message(message(1))
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in Screen().message(message(1))


LISTED = [
    listed(1, title="Equipe", unread=3, unread_mentions=(2,), last_message=message(4, "x " * 40)),
    listed(2, peer="bruno"),
    listed(3, title="日本語" * 20),
]


def test_conversations_are_in_columns(pipe: None) -> None:
    head, first, second, third = Screen().conversations(LISTED).splitlines()
    assert head == f"{'CONVERSATION':<40}  UNREAD  LAST"
    assert first.startswith(f"{'Equipe':<40}     3 @  31 Jan")
    assert " ana: x x " in first
    assert second.rstrip() == "bruno"
    assert third.startswith("日本語" * 6)
    assert cell_len(third.rstrip()) <= 40


def test_conversations_are_cut_at_the_width_of_a_terminal(terminal: None) -> None:
    shown = Screen().conversations(LISTED).splitlines()
    lines = [Text.from_ansi(line).plain for line in shown]
    assert len(lines) == 4
    assert [cell_len(line) <= 40 for line in lines] == [True] * 4
    assert lines[1].startswith(f"{'Equipe':<13}     3 @  31 Jan")


def test_a_conversation_has_a_name() -> None:
    assert name_of(listed(1, title="Equipe")) == "Equipe"
    assert name_of(listed(1, peer="ana")) == "ana"
    untitled = listed(1, members=("ana", "bruno", "carla"))
    assert name_of(untitled) == "ana, bruno, carla"
    assert name_of(untitled, "bruno") == "ana, carla"


def test_a_hint_is_one_line() -> None:
    assert in_a_line("one\n  two") == "one two"
    assert in_a_line("x" * 61) == "x" * 59 + "…"
    assert visible("a\nb\tc") == "a\nb\tc"
