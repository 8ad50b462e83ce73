"""Every page can be found, and every link leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PAGES = sorted([*Path().glob("*.md"), *Path("docs").rglob("*.md")])
READMES = ["README.md", "README.pt-BR.md"]
SOURCES = ["src", "tests", "bench", "engines", "client-python"]
FILES = ["Makefile", "pyproject.toml", "docker-compose.yml", "Dockerfile"]
CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def prose(page: Path) -> str:
    """Return a page's text without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Return (file, anchor) of a page's links to files of the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        url = urlsplit(target)
        if not url.scheme:
            file = page.parent / url.path if url.path else page
            yield Path(file.resolve().relative_to(Path.cwd())), url.fragment


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings(page)}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_resolves(page: Path) -> None:
    for file, anchor in links(page):
        assert file.exists(), file
        if anchor:
            assert anchor in anchors(file), f"{file}#{anchor}"


def test_every_page_is_linked_from_an_index() -> None:
    indexes = [page for page in PAGES if page.name == "README.md"]
    linked = {file for index in indexes for file, _ in links(index)}
    assert {page for page in PAGES if page.is_relative_to("docs")} <= linked


@pytest.mark.parametrize("readme", READMES)
def test_every_page_can_be_reached_from_the_readme(readme: str) -> None:
    reached: set[Path] = set()
    following = [Path(readme)]
    while following:
        page = following.pop()
        if page not in reached:
            reached.add(page)
            following += [file for file, _ in links(page) if file.suffix == ".md"]
    assert reached == set(PAGES)


def test_the_readmes_link_to_the_same_pages() -> None:
    one, two = ({*links(Path(readme))} - {(Path(r), "") for r in READMES} for readme in READMES)
    assert one == two


def test_pages_that_the_source_names_are_there() -> None:
    files = [*map(Path, FILES), *(f for folder in SOURCES for f in Path(folder).rglob("*.py"))]
    named = set[str]()
    for file in files:
        text = file.read_text()
        named.update(re.findall(r"\bdocs/[\w./-]+\.md\b", text))
        # "see docs/….md, Section", as the doctor says it
        for page, section in re.findall(r"(docs/[\w./-]+\.md), ([A-Z]\w+)\"", text):
            if Path(page).exists():
                assert section in headings(Path(page)), (file, page, section)
    assert len(named) > 5
    for page in named:
        assert Path(page).exists(), page


def test_rules_that_the_source_names_are_described() -> None:
    rows = re.findall(r"^\| (\d+[a-z]?)\. ", Path("docs/exactness.md").read_text(), re.MULTILINE)
    for file in Path("src").rglob("*.py"):
        for rule in re.findall(r"\bEXACTNESS (\d+[a-z]?)\b", file.read_text()):
            assert rule in rows, (file, rule)


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = prose(Path("CHANGELOG.md"))
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    for release in releases[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release)
    sections = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert sections
    assert set(sections) <= CHANGES
