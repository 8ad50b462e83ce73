"""The READMEs' blocks, pasted unchanged, and their statements about commands and files."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import blocks, shown
from tests.faults.running import Running, environment

READMES = [Path("README.md"), Path("README.pt-BR.md")]
SESSIONS = [("README.md", "A session"), ("README.pt-BR.md", "Uma sessão")]
PAGES = [*READMES, *Path("docs").rglob("*.md")]
STARTS = ["make run", "make cluster"]


def matches(wanted: str, seen: str) -> bool:
    """Compare, where … stands for anything."""
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    return re.fullmatch(pattern, seen, re.DOTALL) is not None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    yield found
    found.kill()


class Shell:
    """A shell that somebody pastes into, its ports replaced by those of `running`."""

    def __init__(self, running: Running) -> None:
        self._ports = {
            "localhost:8000": f"127.0.0.1:{running.port}",
            "localhost:8001": f"127.0.0.1:{running.metadata_port}",
        }
        self._pasted: list[str] = []

    def paste(self, block: str) -> str:
        """Return what the block prints; assignments of earlier ones hold."""
        for there, here in self._ports.items():
            block = block.replace(there, here)
        told = subprocess.run(
            ["bash", "-e", "-c", "\n".join([*self._pasted, block])],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env=environment(),
        )
        if re.match(r"[A-Z]+=", block):
            self._pasted.append(block)
        return told.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("readme", "title"), SESSIONS)
def test_the_session_is_as_it_is_told(readme: str, title: str, running: Running) -> None:
    shell = Shell(running)
    steps = shown(Path(readme), title)
    assert [bool(output) for _, output in steps] == [False, True, True, True]
    for block, wanted in steps:
        # What has been sent is in the history a moment later.
        deadline = time.monotonic() + 10
        while not matches(wanted, seen := shell.paste(block)):
            assert "-d" not in block.split(), seen  # done once: it changes something
            assert time.monotonic() < deadline, seen


@pytest.mark.parametrize(("readme", "title"), SESSIONS)
def test_an_answer_ends_its_line(readme: str, title: str) -> None:
    for block, output in shown(Path(readme), title):
        assert not output or block.startswith(r"curl -sw '\n' ")
        assert not output or json.loads(output.replace(",…", ""))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_block_can_be_pasted(page: Path) -> None:
    """No prompts anywhere; on the first page no comments, which not every shell knows, either."""
    text = page.read_text()
    assert page not in READMES or blocks(text, "console") == []
    for block in blocks(text, "sh"):
        assert not re.search(r"^[$#%>] ", block, re.MULTILINE), block
        if page in READMES:
            assert "#" not in block
            # What stays in the foreground is alone in its block.
            assert len(block.splitlines()) == 1 or not block.startswith(tuple(STARTS))


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_both_ways_to_start_are_there(readme: Path) -> None:
    for start in STARTS:
        assert f"{start}\n" in blocks(readme.read_text(), "sh")


@pytest.mark.parametrize("readme", READMES, ids=str)
def test_what_it_links_to_is_there(readme: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", readme.read_text()):
        if not target.startswith("http"):
            assert Path(target).exists(), target


@pytest.mark.parametrize(
    "page", [*READMES, Path("CONTRIBUTING.md"), Path("docs/operations/running.md")], ids=str
)
def test_the_make_targets_it_names_are_there(page: Path) -> None:
    makefile = Path("Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_both_languages_tell_the_same() -> None:
    one, two = (page.read_text() for page in READMES)
    assert blocks(one, "sh") == blocks(two, "sh")
    assert blocks(one, "json") == blocks(two, "json")
    assert items(one) == items(two)


def items(text: str) -> list[int]:
    """Return how many items each part of a page lists."""
    return [part.count("\n- ") for part in re.split(r"^## ", text, flags=re.MULTILINE)]


@pytest.mark.parametrize("readme", READMES)
def test_the_bot_is_the_example(readme: Path) -> None:
    """Which a test runs, kills and starts again."""
    (bot,) = blocks(readme.read_text(), "python")
    assert bot == Path("examples/echo.py").read_text()
    lines = [line for line in bot.splitlines() if line and not line.startswith(("import", '"""'))]
    assert len(lines) <= 15
