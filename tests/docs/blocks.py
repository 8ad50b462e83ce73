"""The code blocks of a page, so that they can be run as they are shown."""

import re
import shlex
from pathlib import Path


def section(page: Path, title: str) -> str:
    """Return the text under a heading, up to the next one of the same level or above."""
    text = page.read_text()
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found, f"{page} has no heading {title!r}"
    rest = text[found.end() :]
    ending = re.search(rf"^#{{1,{len(found[1])}}} ", _without_blocks(rest), re.MULTILINE)
    return rest[: ending.start()] if ending else rest


def blocks(text: str, language: str) -> list[str]:
    """Return the contents of the blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: Path, title: str) -> list[list[str]]:
    """Return the commands of a section's shell blocks, each as its words."""
    lines = "".join(blocks(section(page, title), "sh")).replace("\\\n", "")
    return [words for line in lines.splitlines() if (words := shlex.split(line, comments=True))]


def shown(page: Path, title: str) -> list[tuple[str, str]]:
    """Return each shell block of a section with the output that is shown right behind it."""
    found = re.findall(
        r"^```sh\n(.*?)^```\n(?:```(?:json|text)\n(.*?)^```$)?",
        section(page, title),
        re.MULTILINE | re.DOTALL,
    )
    return [(block, output) for block, output in found]


def _without_blocks(text: str) -> str:
    """Return the text with blocks blanked out, every character in its place."""
    return re.sub(
        r"^```.*?^```$",
        lambda found: re.sub(r"[^\n]", " ", found[0]),
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
