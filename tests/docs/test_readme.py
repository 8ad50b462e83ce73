"""The READMEs' sessions, run unchanged, and their statements about commands and files."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.running import Running, environment, until

READMES = ["README.md", "README.pt-BR.md"]


def session(readme: str) -> list[tuple[str, str]]:
    """Return (command, output) of every `$ ` line in the console blocks."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", Path(readme).read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = next(n for n, line in enumerate(lines) if not line.endswith(("\\", "|")))
            found.append(("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]).strip()))
    return found


def matches(wanted: str, seen: str) -> bool:
    """Compare, where … stands for anything."""
    pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
    return re.fullmatch(pattern, seen.strip(), re.DOTALL) is not None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path).start()
    yield found
    found.kill()


@pytest.mark.slow
@pytest.mark.parametrize("readme", READMES)
def test_the_session_is_as_it_is_told(readme: str, running: Running) -> None:
    steps = session(readme)
    assert len(steps) >= 4
    done: list[str] = []
    for command, wanted in steps:
        here = command.replace("localhost:8000", f"127.0.0.1:{running.port}").replace(
            "localhost:8001", f"127.0.0.1:{running.metadata_port}"
        )
        seen: list[str] = []

        def as_told(here: str = here, wanted: str = wanted, seen: list[str] = seen) -> bool:
            # The assignments of earlier commands are run again: a shell would still have them.
            script = "\n".join([*done, here])
            answer = subprocess.run(
                ["bash", "-c", script],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
                env=environment(),
            )
            seen.append(answer.stdout)
            return matches(wanted, answer.stdout)

        if " -d " in here:
            assert as_told(), seen  # done once: it changes something
        else:
            until(as_told, seconds=10)
        if re.match(r"[A-Z]+=", here):
            done.append(here)


@pytest.mark.parametrize("readme", READMES)
def test_what_it_links_to_is_there(readme: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", Path(readme).read_text()):
        if not target.startswith("http"):
            assert Path(target).exists(), target


@pytest.mark.parametrize("page", [*READMES, "CONTRIBUTING.md", "docs/operations/running.md"])
def test_the_make_targets_it_names_are_there(page: str) -> None:
    makefile = Path("Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", Path(page).read_text(), re.MULTILINE))
    assert named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_both_languages_tell_the_same_session() -> None:
    one, two = ([command for command, _ in session(readme)] for readme in READMES)
    assert one == two
