"""A user's own files and uploads, the newest or the largest first."""

from collections.abc import Sequence

from chat4all.domain.errors import FieldError, InvalidInput
from chat4all.domain.files import file_id
from chat4all.domain.ids import Username
from chat4all.domain.own_files import FileOrder, FilePlace, OwnFile
from chat4all.ports.files import Files

FILES_LIMIT_DEFAULT = 50
FILES_LIMIT_MAX = 200

_SEPARATOR = " "
_DIGITS_MAX = 15


class ListingFiles:
    """Lists what users have uploaded, and are uploading."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def page(
        self, owner: Username, order: FileOrder, limit: int, after: str
    ) -> tuple[Sequence[OwnFile], str | None]:
        """Return at most `limit` files after the cursor `after`, and the next cursor.

        A cursor is a file's place in the order. An upload that becomes a file between two pages
        moves up; the others are neither skipped nor repeated. Raises `InvalidInput` for a cursor
        that is none.
        """
        found = await self._files.own(owner, order, limit + 1, _place(after) if after else None)
        more = _cursor(found[limit - 1].place(order)) if len(found) > limit else None
        return found[:limit], more


def _cursor(place: FilePlace) -> str:
    return f"{place.value}{_SEPARATOR}{place.file_id}"


def _place(cursor: str) -> FilePlace:
    value, _, key = cursor.partition(_SEPARATOR)
    try:
        if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX):
            raise ValueError
        return FilePlace(int(value), file_id(key))
    except ValueError:
        raise InvalidInput([FieldError("/query/cursor", "take it from a Link")]) from None
