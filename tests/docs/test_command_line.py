"""The page about the command line: its session, in a terminal, and what it says about statuses."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat4all.cli import INTERRUPTED, PIPE_CLOSED
from chat4all.terminal import failing
from tests.docs.blocks import section, shown
from tests.docs.terminals import pasted
from tests.docs.test_readme import matches
from tests.faults.running import Running, environment, until

PAGE = Path("docs/clients/command-line.md")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    yield found
    found.kill()


@pytest.mark.slow
def test_the_session_is_as_it_is_told(running: Running, tmp_path: Path) -> None:
    variables = environment() | {
        "PATH": f"{Path(sys.executable).parent}:{environment()['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "CHAT4ALL_URL": running.gateway,
        "TERM": "dumb",
        "COLUMNS": "80",
    }
    steps = shown(PAGE, "A session")
    assert len(steps) == 6
    for block, wanted in steps:
        seen: list[str] = []

        def is_as_told() -> bool:
            status, text = pasted(block, variables, "test")  # noqa: B023
            assert status == 0, text
            seen[:] = [text.replace(running.gateway, "http://localhost:8000")]  # noqa: B023
            return matches(wanted, without_spaces(seen[0]))  # noqa: B023

        if block.startswith(("chat4all history", "chat4all conversations")):
            until(is_as_told)  # what was sent is stored a moment later
        else:
            assert is_as_told(), (wanted, seen)


def without_spaces(text: str) -> str:
    """Return a text without what stands at the ends of its lines."""
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


def test_every_status_is_in_the_table() -> None:
    told = {int(n) for n in re.findall(r"^\| (\d+)\b", section(PAGE, "In scripts"), re.MULTILINE)}
    ours = {value for name, value in vars(failing).items() if name.isupper()}
    assert told >= {value for value in ours if isinstance(value, int)} | {INTERRUPTED, PIPE_CLOSED}
