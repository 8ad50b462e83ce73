"""Names and paths that comments, docstrings and pages mention exist."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import chat4all

SOURCE = Path(chat4all.__file__).parent
ROOT = Path(__file__).parents[2]

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PAGES.remove(ROOT / "CHANGELOG.md")  # It names files of its time.
PYTHON = sorted([*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")])

DOTTED = re.compile(r"(?<!`)`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\(\))?`(?!`)")
PATH = re.compile(r"(?<![\w./-])(?:tests|src|docs)/[\w/.-]*\w\.(?:py|md)\b")
DECISION = re.compile(r"\bdecisions/\d{4}-[\w-]+\.md\b")

OURS = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
OURS -= {"__init__", "__main__", "__pycache__", "py"}


def module_file(names: list[str]) -> Path | None:
    base = SOURCE.joinpath(*names)
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)


@cache
def attributes(file: Path) -> dict[str, set[str]]:
    """Return the names at a module's top level, each class with the names of its attributes."""
    names: dict[str, set[str]] = {}
    for node in ast.parse(file.read_text()).body:
        names |= {name: set() for name in defined(node)}
        if isinstance(node, ast.ClassDef):
            names[node.name] = {name for inner in ast.walk(node) for name in defined(inner)}
    return names


def defined(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Import() | ast.ImportFrom():
            yield from (alias.asname or alias.name for alias in node.names)
        case ast.Assign() | ast.AnnAssign():
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                match target:
                    case ast.Name(id=name) | ast.Attribute(attr=name):
                        yield name


def exists(names: list[str]) -> bool:
    """Say whether a dotted name, without `chat4all`, is a module or an attribute of one."""
    if SOURCE.joinpath(*names).is_dir() or module_file(names):
        return True
    for length in (len(names) - 1, len(names) - 2):
        if file := module_file(names[:length]):
            owner, *members = names[length:]
            found = attributes(file)
            return owner in found and set(members) <= found[owner]
    return False


def stale_names(text: str) -> list[str]:
    """Return the backticked dotted names of this package that do not exist."""
    stale = []
    for match in DOTTED.finditer(text):
        names = match[1].removeprefix("chat4all.").split(".")
        if (names[0] in OURS or match[1] != ".".join(names)) and not exists(names):
            stale.append(match[1])
    return stale


def stale_paths(text: str) -> list[str]:
    cited = {f"docs/{path}" for path in DECISION.findall(text)} | set(PATH.findall(text))
    return sorted(path for path in cited if not (ROOT / path).exists())


def found_in(files: list[Path], stale: Callable[[str], list[str]]) -> list[tuple[str, str]]:
    """Return the stale names or paths in these files, but not in this one, which needs them."""
    return [
        (str(file.relative_to(ROOT)), name)
        for file in files
        if file != Path(__file__)
        for name in stale(file.read_text())
    ]


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("ports.users.Users", False),
        ("ports.users.Users.find_users", False),
        ("ports.users", False),
        ("chat4all.adapters.kafka", False),
        ("chat4all.nothing", True),
        ("ports.Users", True),
        ("ports.users.Users.nothing", True),
        ("ports.nothing.Users", True),
        ("sqlite3.Error", False),
    ],
)
def test_a_name_that_is_gone_is_found(name: str, stale: bool) -> None:
    assert stale_names(f"See `{name}`.") == ([name] if stale else [])


def test_a_path_that_is_gone_is_found() -> None:
    decision, module = "decisions/0000-nothing.md", "src/chat4all/nothing.py"
    text = f"See {decision}, {module} and tests/conftest.py."
    assert stale_paths(text) == [f"docs/{decision}", module]


def test_names_in_comments_and_docstrings_exist() -> None:
    assert found_in(PYTHON, stale_names) == []


def test_paths_exist_that_pages_and_comments_name() -> None:
    assert found_in([*PAGES, *PYTHON], stale_paths) == []
