"""Every decision says whether it still holds, and the index says the same."""

import re
from pathlib import Path

import pytest

FOLDER = Path("docs/decisions")
PAGES = sorted(FOLDER.glob("[0-9]*.md"))

_SUPERSEDED = re.compile(r"superseded by \[(\d{4})\]\((\d{4}-[\w-]+\.md)\)")


def number_and_title(page: Path) -> tuple[int, str]:
    found = re.fullmatch(r"# (\d+)\. (.+)", page.read_text().splitlines()[0])
    assert found
    return int(found[1]), found[2]


def status(page: Path) -> str:
    """Return the status, which is on the third line of each page."""
    line = page.read_text().splitlines()[2]
    assert line.startswith("Status: "), page
    return line.removeprefix("Status: ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_it_has_its_number_and_a_status(page: Path) -> None:
    assert number_and_title(page)[0] == int(page.name[:4])
    if (said := status(page)) != "accepted":
        successor = _SUPERSEDED.fullmatch(said)
        assert successor, said
        assert successor[2].startswith(successor[1])
        assert successor[1] > page.name[:4]
        assert (FOLDER / successor[2]).exists()


def test_numbers_are_given_once_and_in_order() -> None:
    assert [number_and_title(page)[0] for page in PAGES] == list(range(1, len(PAGES) + 1))


def test_the_index_has_number_title_and_status_of_each() -> None:
    rows = re.findall(r"^\| (\[\d{4}\]\(.*) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert rows == [
        f"[{page.name[:4]}]({page.name}) | {number_and_title(page)[1]} | {status(page)}"
        for page in PAGES
    ]
