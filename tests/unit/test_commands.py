"""`chat4all`: its help, its refusals, and dead letters as an operator handles them."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from click.testing import CliRunner, Result

from chat4all.adapters.embedded import DataFolder, EmbeddedLog, EmbeddedStore
from chat4all.adapters.embedded.folder import DATABASES
from chat4all.adapters.installation import MARKER
from chat4all.cli import COMMANDS, main
from chat4all.domain.errors import OutcomeUnknown, Unavailable
from chat4all.terminal.failing import OUTCOME_UNKNOWN
from chat4all.wire.records import encode_headers
from tests.folders import POISON, change, history, make_folder, route, with_poison
from tests.records import CHATS, record


def chat4all(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def letters(folder: Path) -> list[dict[str, Any]]:
    return json.loads(chat4all("dead-letters", "list", "--json", "--data", folder).stdout)  # type: ignore[no-any-return]


def refusal(*arguments: object) -> str:
    """Return the one sentence of a command that is refused."""
    result = chat4all(*arguments)
    assert result.exit_code == 1
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("chat4all: ")
    return line


def test_the_help_lists_every_command_and_loads_none() -> None:
    help_text = chat4all("--help").stdout
    for name, short in COMMANDS.items():
        assert f"{name} " in help_text
        assert short in help_text
        assert chat4all(name, "--help").exit_code == 0
    loads = (
        "import sys, chat4all.cli\n"
        "heavy = ('sqlalchemy', 'fastapi', 'uvloop', 'chat4all.commands')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    seen = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


def test_every_command_is_documented() -> None:
    pages = "".join(page.read_text() for page in Path("docs").rglob("*.md"))
    for name in COMMANDS:
        assert f"chat4all {name}" in pages


def test_what_the_locale_cannot_show_is_escaped() -> None:
    program = (
        "import click\n"
        "from chat4all.cli import main\n"
        "main.callback = None\n"
        "main.get_command = lambda *_: click.Command("
        "'shown', callback=lambda: click.echo('Ol\\xe1 \\U0001f389'))\n"
        "main(['shown'])"
    )
    seen = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, b"Ol\xe1 \\U0001f389\n", b"")


def test_an_unknown_command_is_said() -> None:
    assert chat4all("nonsense").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "disable", b"an\xe1"),
        ("users", "list", "--query", b"an\xe1"),
        ("groups", "hand-over", b"\xff", "ana"),
        ("up", "--host", b"\xff"),
    ],
)
def test_an_argument_that_is_not_utf_8_is_one_sentence(
    tmp_path: Path, arguments: tuple[str | bytes, ...]
) -> None:
    result = chat4all(*map(os.fsdecode, arguments), "--data", tmp_path / "data")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "chat4all: an argument is not text in UTF-8\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("dead-letters", "list"),
        ("dead-letters", "show", 1),
        ("dead-letters", "replay", "--all"),
        ("backup", "/nowhere/b"),
    ],
)
def test_a_folder_that_is_not_chat4alls_is_refused_and_nothing_is_made(
    tmp_path: Path, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing, other = tmp_path / "missing", tmp_path / "other"
    other.mkdir()
    for folder in (missing, other):
        assert "has no data of Chat4All" in refusal(*command, "--data", folder)
    monkeypatch.setenv("CHAT4ALL_DATA", str(other))
    assert str(other) in refusal(*command)
    assert not missing.exists()
    assert not list(other.iterdir())


@pytest.mark.parametrize("lost", [DATABASES, *((name,) for name in DATABASES), (MARKER,)])
def test_what_a_folder_lost_is_named(tmp_path: Path, lost: tuple[str, ...]) -> None:
    folder = make_folder(tmp_path / "data")
    for name in lost:
        (folder / name).unlink()
    for command in (("dead-letters", "list"), ("users", "list"), ("backup", tmp_path / "backup")):
        sentence = refusal(*command, "--data", folder)
        assert f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} missing in" in sentence
    assert not {*lost} & {path.name for path in folder.iterdir()}


def test_a_folder_that_cannot_be_there_is_one_sentence(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300)
    whole = make_folder(tmp_path / "data")
    for command in (
        ("users", "list", "--data", long),
        ("backup", long, "--data", whole),
        ("restore", tmp_path / "backup", "--data", long),
    ):
        says = f"{long} cannot be read (File name too long): name another folder"
        assert refusal(*command) == f"chat4all: {says}"


def test_a_setting_that_is_wrong_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT4ALL_PORT", "none")
    assert "CHAT4ALL_PORT is not usable" in refusal("dead-letters", "list")


def test_no_dead_letters(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", [record()])
    assert "no dead letters" in chat4all("dead-letters", "list", "--data", folder).stdout
    assert letters(folder) == []
    result = chat4all("dead-letters", "replay", "--all", "--data", folder)
    assert (result.exit_code, result.stdout.strip()) == (0, "There is nothing to replay.")


def test_a_letter_is_listed_shown_corrected_and_replayed_once(tmp_path: Path) -> None:
    folder = with_poison(tmp_path / "data")
    assert history(folder) == [(1, "before"), (2, "after")]
    (letter,) = letters(folder)
    assert (letter["position"], letter["conversation"], letter["replayed_as"]) == (
        2,
        CHATS[0],
        None,
    )
    assert letter["put_aside_at"].endswith("Z")
    table = chat4all("dead-letters", "list", "--data", folder).stdout.splitlines()
    assert len(table) == 2
    assert table[1].startswith("2 ")
    assert letter["cause"] in table[1]
    shown = chat4all("dead-letters", "show", 2, "--data", folder).stdout
    assert POISON.decode() in shown
    assert "utf-8" in shown
    raw = chat4all("dead-letters", "show", 2, "--raw", "--data", folder)
    assert raw.stdout_bytes == POISON

    assert "cannot be processed" in refusal("dead-letters", "replay", 2, "--data", folder)
    corrected = tmp_path / "corrected.json"
    corrected.write_bytes(record("corrected"))
    result = chat4all("dead-letters", "replay", 2, "--value", corrected, "--data", folder)
    assert (result.exit_code, result.stdout) == (0, "2 was replayed as 4\n")
    assert letters(folder)[0]["replayed_as"] == 4
    assert "as 4" in chat4all("dead-letters", "list", "--data", folder).stdout
    again = ("dead-letters", "replay", 2, "--value", corrected, "--data", folder)
    assert "was replayed as 4" in refusal(*again)
    assert chat4all(*again, "--again").exit_code == 0
    assert letters(folder)[0]["replayed_as"] == 5
    route(folder)
    assert history(folder) == [(1, "before"), (2, "after"), (3, "corrected")]
    # What is marked is not among "all".
    result = chat4all("dead-letters", "replay", "--all", "--data", folder)
    assert (result.exit_code, result.stdout.strip()) == (0, "There is nothing to replay.")


def test_one_that_is_refused_does_not_keep_the_others(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", [POISON, POISON, b"no json"])
    change(
        folder / "store.db",
        f"UPDATE dead_letters SET value = CAST('{record('fine').decode()}' AS BLOB) "
        "WHERE log_offset = 2",
    )
    result = chat4all("dead-letters", "replay", "--all", "--json", "--data", folder)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [x["replayed_as"] for x in found] == [None, 4, None]
    assert all(x["refused"] for x in found if x["replayed_as"] is None)
    route(folder)
    assert history(folder) == [(1, "fine")]
    result = chat4all("dead-letters", "replay", 1, 99, "--data", folder)
    assert result.exit_code == 1
    assert "there is no dead letter at 99" in result.stderr


@pytest.mark.parametrize(
    ("owner", "method", "error"),
    [
        (EmbeddedLog, "append", OutcomeUnknown("lost")),
        (EmbeddedStore, "replayed", Unavailable("away")),
    ],
)
def test_a_replay_that_may_be_done_is_not_told_as_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    method: str,
    error: Unavailable,
) -> None:
    folder = make_folder(tmp_path / "data", [POISON])
    corrected = tmp_path / "corrected.json"
    corrected.write_bytes(record("corrected"))
    replay = ("dead-letters", "replay", 1, "--value", corrected, "--data", folder)
    with monkeypatch.context() as patched:
        patched.setattr(owner, method, AsyncMock(side_effect=error))
        result = chat4all(*replay)
        found = json.loads(chat4all(*replay, "--json").stdout)
    assert (result.exit_code, result.stdout) == (OUTCOME_UNKNOWN, "")
    assert "1 may have been replayed; replay it again: the same message" in result.stderr
    assert [one["may_be_done"] for one in found] == [True]
    assert chat4all(*replay).exit_code == 0
    route(folder)
    assert history(folder) == [(1, "corrected")]


@pytest.mark.parametrize("value", [b"\xff\xfe{", b'{"x": "\x1b[2J"}', b"\0"])
def test_bytes_that_are_no_text_for_a_terminal_are_shown_as_base64(
    tmp_path: Path, value: bytes
) -> None:
    folder = make_folder(tmp_path / "data", [value])
    found = json.loads(chat4all("dead-letters", "show", 1, "--json", "--data", folder).stdout)
    assert found["value_encoding"] == "base64"
    assert base64.b64decode(found["value"]) == value
    plain = chat4all("dead-letters", "show", 1, "--data", folder)
    assert found["value"] in plain.stdout
    assert "\x1b" not in plain.stdout
    assert chat4all("dead-letters", "show", 1, "--raw", "--data", folder).stdout_bytes == value


def test_headers_are_shown_and_cannot_write_to_a_terminal(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", [b"no json"])
    assert (
        json.loads(chat4all("dead-letters", "show", 1, "--json", "--data", folder).stdout)[
            "headers"
        ]
        == []
    )
    headers = encode_headers([("trace", b"one"), ("\x1b[2J", b"\x1b"), ("empty", None)])
    assert headers is not None
    change(folder / "store.db", f"UPDATE dead_letters SET headers = x'{headers.hex()}'")
    found = json.loads(chat4all("dead-letters", "show", 1, "--json", "--data", folder).stdout)
    assert found["headers"] == [
        {"name": "trace", "value_encoding": "utf-8", "value": "one"},
        {"name": "\x1b[2J", "value_encoding": "base64", "value": "Gw=="},
        {"name": "empty", "value_encoding": None, "value": None},
    ]
    plain = chat4all("dead-letters", "show", 1, "--data", folder).stdout
    assert "trace: one; " in plain
    assert "\x1b" not in plain


@pytest.mark.parametrize("arguments", [(), (1, "--all"), (1, 2, "--value", "-")])
def test_replay_is_told_what_to_replay(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    folder = with_poison(tmp_path / "data")
    assert chat4all("dead-letters", "replay", *arguments, "--data", folder).exit_code == 2
    assert letters(folder)[0]["replayed_as"] is None


@pytest.mark.parametrize("command", [("show",), ("replay", 1)])
@pytest.mark.parametrize("position", ["x", "1.2", "0.0.1", str(2**63)])
def test_what_is_no_position_is_wrong_usage(
    tmp_path: Path, command: tuple[object, ...], position: str
) -> None:
    folder = make_folder(tmp_path / "data", [record()])
    result = chat4all("dead-letters", *command, position, "--data", folder)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Usage: main dead-letters {command[0]} [OPTIONS] ")
    assert result.stderr.endswith(f"\nError: A position is a number: '{position}' is not.\n")


def test_as_a_guest_of_the_one_that_holds_the_folder(tmp_path: Path) -> None:
    folder = with_poison(tmp_path / "data")
    with DataFolder(folder):
        assert len(letters(folder)) == 1
        result = chat4all(
            *("dead-letters", "replay", 2, "--value", "-", "--data", folder), stdin=record("guest")
        )
        assert result.exit_code == 0
        assert letters(folder)[0]["replayed_as"] == 4
    change(folder / "store.db", "PRAGMA user_version = 1")
    with DataFolder(folder):
        assert "in use by an older Chat4All" in refusal("dead-letters", "list", "--data", folder)


def test_the_folder_is_given_back(tmp_path: Path) -> None:
    folder = with_poison(tmp_path / "data")
    letters(folder)
    with DataFolder(folder):
        pass


def test_a_newer_folder_is_one_sentence(tmp_path: Path) -> None:
    folder = with_poison(tmp_path / "data")
    change(folder / "store.db", "PRAGMA user_version = 99")
    assert "newer Chat4All" in refusal("dead-letters", "list", "--data", folder)
