"""Files that wait to be compared with those of equal content."""

from typing import NamedTuple

from chat4all.domain.files import FileId


class Candidate(NamedTuple):
    """A file that waits to be compared, its bytes, and the object that it may come to share.

    `key` is None where no other file that was compared has the same content.
    """

    file_id: FileId
    size: int
    key: str | None
