"""The sentences of docs/operations/troubles.md, compared with the program's texts."""

import re
from pathlib import Path


def documented() -> list[str]:
    """Return the sentences that the table quotes, where … stands for anything."""
    page = Path("docs/operations/troubles.md").read_text()
    table = page.split("### A cluster", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| (`.*?`) \| ", table, re.MULTILINE)
    # A span that has backticks inside is in two of them.
    return [
        cell.removeprefix("``").removesuffix("``").strip() if cell[:2] == "``" else cell[1:-1]
        for cell in cells
    ]


def assert_documented(sentence: str) -> None:
    """Fail unless the table has this sentence."""
    patterns = (".*".join(re.escape(part) for part in row.split("…")) for row in documented())
    assert any(re.fullmatch(pattern, sentence) for pattern in patterns), sentence
