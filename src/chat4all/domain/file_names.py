"""Names of files that strangers gave them."""

import re

from chat4all.domain.files import NAME_MAX
from chat4all.domain.text import UnfitText, one_line

NAMELESS = "file"

_hidden = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_folders = re.compile(r".*[/\\]", re.DOTALL)


def file_name(text: str) -> str:
    """Return a name that a file can have everywhere: one line, no folders, `NAME_MAX` at most.

    Its extension is kept.
    """
    name = _folders.sub("", _hidden.sub("", text)).strip().strip(".").strip() or NAMELESS
    if len(name) > NAME_MAX:
        stem, dot, ending = name.rpartition(".")
        kept = dot + ending if len(ending) < NAME_MAX // 10 else ""
        name = (stem if kept else name)[: NAME_MAX - len(kept)] + kept
    try:
        return one_line(name, NAME_MAX)
    except UnfitText:
        return NAMELESS
