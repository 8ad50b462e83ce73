"""Where files are."""

import re

from chat4all.domain.files import FileId, file_id
from chat4all.domain.ids import UUID_PATTERN

FILES_PATH = "/v1/files"
FILE_PATH = f"{FILES_PATH}/{{file_id}}"
LINK_PATH = f"{FILE_PATH}/link"

LINK_PARAMETER = "link"

_file = re.compile(FILE_PATH.format(file_id=f"({UUID_PATTERN[1:-1]})"))


def file_in(path: str) -> FileId | None:
    """Return the file that a path names; None for another path."""
    found = _file.fullmatch(path)
    return file_id(found[1]) if found else None
