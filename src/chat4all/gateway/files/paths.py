"""The paths of files in URLs."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.types import Scope

from chat4all.domain.files import FileId, file_id
from chat4all.domain.ids import UUID_PATTERN
from chat4all.http.problems import BadRequest

FILES_PATH = "/v1/files"
FILE_PATH = f"{FILES_PATH}/{{file_id}}"
LINK_PATH = f"{FILE_PATH}/link"
INITIATE_PATH = f"{FILES_PATH}/initiate"
PARTS_PATH = f"{FILE_PATH}/parts"
COMPLETE_PATH = f"{FILE_PATH}/complete"

THUMBNAIL_PATH = f"{FILE_PATH}/thumbnail"

LINK_PARAMETER = "link"
PARAMETERS_MAX = 10
"""Of one query string."""

_ID = f"({UUID_PATTERN[1:-1]})"
_file = re.compile(FILE_PATH.format(file_id=_ID))
_thumbnail = re.compile(THUMBNAIL_PATH.format(file_id=_ID))


def query_of(scope: Scope, *, with_empty: bool = False) -> Mapping[str, Sequence[str]]:
    """Return the parameters of a request, those with no value only if they are asked for.

    Raises `BadRequest` for more than anybody needs.
    """
    text = scope["query_string"].decode("latin-1")
    try:
        return parse_qs(text, keep_blank_values=with_empty, max_num_fields=PARAMETERS_MAX)
    except ValueError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the query has too many fields") from None


def file_in(path: str) -> FileId | None:
    """Return the file that a path names; None for another path."""
    found = _file.fullmatch(path)
    return file_id(found[1]) if found else None


def thumbnail_in(path: str) -> FileId | None:
    """Return the file whose thumbnail a path names; None for another path."""
    found = _thumbnail.fullmatch(path)
    return file_id(found[1]) if found else None
