"""Names of files that strangers gave them."""

import re

from chat4all.domain.files import NAME_MAX
from chat4all.domain.text import UnfitText, cut, one_line, without_what_no_line_has

NAMELESS = "file"

_folders = re.compile(r".*[/\\]", re.DOTALL)


def file_name(text: str) -> str:
    """Return a name that a file can have everywhere: one line, no folders, `NAME_MAX` at most.

    Its extension is kept.
    """
    shown = without_what_no_line_has(text)
    name = _folders.sub("", shown).strip().strip(".").strip() or NAMELESS
    if len(name) > NAME_MAX:
        stem, dot, ending = name.rpartition(".")
        kept = dot + ending if len(ending) < NAME_MAX // 10 else ""
        name = cut(stem if kept else name, NAME_MAX - len(kept)) + kept
    try:
        return one_line(name, NAME_MAX)
    except UnfitText:
        return NAMELESS
