"""Files: what is uploaded, what is known of it, and who may have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType

from chat4all.domain.ids import ConversationId, MessageId, Username, canonical_uuid

FileId = NewType("FileId", str)
"""A file's UUID in its canonical form, made by the gateway."""

FILE_MAX = 2 * 1024**3
"""Bytes of a file."""

PART_BYTES = 8 * 1024 * 1024
"""Bytes of every part but the last one."""

PARTS_MAX = FILE_MAX // PART_BYTES

NAME_MAX = 200
"""Characters of a file's name."""

UPLOAD_SECONDS = 24 * 3600
"""How long an upload that nothing is added to is kept, and a file that no message names."""

LEASE_SECONDS = 20
"""How long a request that writes holds an upload after its last sign of life."""


def file_id(text: str) -> FileId:
    """Return the id of a file in its canonical form; `ValueError` when it is none."""
    return FileId(canonical_uuid(text))


class FileState(StrEnum):
    """How far a file is."""

    UPLOADING = "uploading"
    CHECKING = "checking"  # whole, and held back until it is known to be clean
    READY = "ready"
    REFUSED = "refused"  # it was found not to be clean


class StoredPart(NamedTuple):
    """A part of an upload that the store has acknowledged.

    `number` is the store's, and grows from part to part; `etag` names these very bytes.
    """

    number: int
    size: int
    etag: str


class Tail(NamedTuple):
    """The bytes after the last part, too few for one: an object of its own."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What the store has of an upload: its parts in order, and the bytes after them."""

    parts: Sequence[StoredPart] = ()
    tail: Tail | None = None

    @property
    def offset(self) -> int:
        """Return how many bytes are durable."""
        return sum(part.size for part in self.parts) + (self.tail.size if self.tail else 0)


@dataclass(frozen=True, slots=True)
class NewUpload:
    """An upload that is to begin. `store_upload` is what the store calls it."""

    file_id: FileId
    owner: Username
    size: int
    name: str
    media_type: str
    """What its uploader says that it is; never what it is served as by itself."""
    key: str
    """Where its bytes are, in the store."""
    store_upload: str
    metadata: str = ""
    """`Upload-Metadata` as it came, for `HEAD`."""


@dataclass(frozen=True, slots=True)
class Upload(NewUpload):
    """An upload as it is now.

    `fence` grows whenever another request takes the upload: what was taken with a smaller one
    changes nothing any more.
    """

    state: FileState = FileState.UPLOADING
    progress: Progress = field(default_factory=Progress)
    fence: int = 0
    expires_at: int = 0
    """Milliseconds since 1970."""


THUMBNAIL_SIZES = (128, 480, 1280)
"""Pixels of the squares into which pictures are made to fit."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is known of a picture: pixels, as it is shown, and a blur in some 30 characters."""

    width: int
    height: int
    blurhash: str


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What was found out about a file's content.

    `media_type` is found from its first bytes, not said by the uploader. Width and height in
    pixels, as it is shown; `blurhash` is a picture of some 30 characters.
    """

    sha256: str
    media_type: str
    width: int | None = None
    height: int | None = None
    blurhash: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is whole."""

    file_id: FileId
    owner: Username
    size: int
    name: str
    key: str
    facts: FileFacts
    created_at: int
    """Milliseconds since 1970."""
    state: FileState = FileState.READY


class FileUse(NamedTuple):
    """A message that names a file: its conversation's members may have the file.

    A message's id is its sender's, so both together name it.
    """

    file_id: FileId
    conversation_id: ConversationId
    message_id: MessageId
    sender_id: Username


@dataclass(frozen=True, slots=True)
class Quota:
    """How much may be kept, in bytes; None for no bound."""

    of_user: int | None = None
    in_all: int | None = None
    uploads_of_user: int = 20
    """Uploads of one user that are not whole yet."""


class Garbage(NamedTuple):
    """A file or upload that is to be deleted from the store.

    `store_upload` is set if it is not whole; `keys` are all of its objects.
    """

    file_id: FileId
    store_upload: str | None
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What may be uploaded: bytes by the first half of the media type (`image`), else `size`."""

    size: int = FILE_MAX
    by_type: Mapping[str, int] = field(default_factory=dict)

    def most(self, media_type: str) -> int:
        """Return how many bytes a file of this type may have."""
        return min(self.size, self.by_type.get(media_type.partition("/")[0], self.size))
