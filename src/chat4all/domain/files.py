"""Files: what is uploaded, what is known of it, and who may have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType

from chat4all.domain.ids import ConversationId, MessageId, Username, canonical_uuid
from chat4all.domain.kinds import Kind

FileId = NewType("FileId", str)
"""A file's UUID in its canonical form, made by the gateway."""

FILE_MAX = 2 * 1024**3
"""Bytes of a file."""

PART_BYTES = 8 * 1024 * 1024
"""Bytes of every part but the last one."""

PARTS_MAX = FILE_MAX // PART_BYTES

NAME_MAX = 200
"""Characters of a file's name."""

UNUSED_SECONDS = 3600
"""How long an upload is kept that no request has taken: its client may never have heard of it."""

URL_SECONDS = 3600
"""How long a URL to the store can be used; then the owner of the upload gets others."""

URLS_UNUSED_SECONDS = 2 * URL_SECONDS
"""How long an upload straight to the store is kept whose owner does not ask again: its parts may be
under way until then, which no gateway sees."""

UPLOAD_RATE = 24 * 1024 * 1024
"""Bytes a second of all uploads of a process while messages are being sent."""

UPLOAD_SECONDS = 24 * 3600
"""How long an upload that nothing is added to is kept, and a file that no message names."""

LEASE_SECONDS = 20
"""How long a request that writes holds an upload after its last sign of life."""

GARBAGE_SECONDS = 60
"""How long garbage that was given to one collector is not given to another."""

LATE_SECONDS = 600
"""How long after garbage was deleted from the store it is deleted once more, since a request that
was on its way may have written something meanwhile. No call that a gateway makes of the store takes
as long. What a client sends to a URL of its own may: the bucket's lifecycle rule deletes that."""

GARBAGE_MAX = 50
"""Files that are given to a collector in one go: with the most keys they fit into one answer of the
metadata service."""

REPLACED_SECONDS = 24 * 3600
"""How long the object of a file that names another one from now on is kept: a download may read it,
and a backup whose database names it may not have copied it yet.
"""

TAILS_MAX = 1_000
"""Tails whose keys are listed for deletion: of the last requests that took an upload."""

THUMBNAIL_SIZES = (128, 480, 1280)
"""Pixels of the squares into which pictures are made to fit."""


def file_id(text: str) -> FileId:
    """Return the id of a file in its canonical form; `ValueError` when it is none."""
    return FileId(canonical_uuid(text))


def format_size(size: int) -> str:
    """Return bytes as people read them: `1.5 GiB`."""
    for unit, bytes_of_it in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size >= bytes_of_it:
            return f"{size / bytes_of_it:.1f} {unit}"
    return f"{size} bytes"


def tail_key(key: str, fence: int) -> str:
    """Return where the tail is that the request with this fence leaves: it leaves one at most."""
    return f"{key}.tail.{fence}"


def tails_of(key: str, fence: int) -> Sequence[str]:
    """Return where tails may be, up to the newest fence.

    A process may have been killed between writing a tail and noting it: so of every fence.
    """
    first = max(fence - TAILS_MAX, 0) + 1
    return [tail_key(key, one) for one in range(first, fence + 1)]


def thumbnail_key(file_id: FileId, size: int) -> str:
    """Return where a thumbnail of a file is.

    Files with one object have thumbnails of their own: one that is there at once would tell that
    somebody else has the picture.
    """
    return f"{file_id[-2:]}/{file_id}.thumb.{size}"


def keys_of(file_id: FileId, key: str, fence: int) -> Sequence[str]:
    """Return all keys under which something of a file may be, up to its newest fence."""
    thumbnails = (thumbnail_key(file_id, size) for size in THUMBNAIL_SIZES)
    return (key, *tails_of(key, fence), *thumbnails)


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
    """What the store has of an upload: its parts in order, and the bytes after them.

    The parts of a whole file are not kept: its progress is one part, of all of its bytes.
    """

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
    is_direct: bool = False
    """Whether its owner sends its parts to the store, without a gateway in between."""


@dataclass(frozen=True, slots=True)
class Upload(NewUpload):
    """An upload as it is now.

    `fence` is 1 or more once a request has taken the upload, and grows with each that does: a
    request with a smaller one changes nothing any more.
    """

    state: FileState = FileState.UPLOADING
    progress: Progress = field(default_factory=Progress)
    fence: int = 0
    expires_at: int = 0
    """Milliseconds since 1970; 0 for never."""


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


_DRAWN_BY_SCRIPTS = "image/svg+xml"
"""A picture that is a program: it is offered for download and never shown."""


def fits(kind: Kind, media_type: str) -> bool:
    """Say whether a file whose content is of this type may be sent as a message of this kind."""
    if kind is Kind.FILE:
        return True
    return media_type.startswith(f"{kind.value}/") and media_type != _DRAWN_BY_SCRIPTS


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

    `store_upload` is set if it is not whole; `keys` are those of its objects that no other file
    names.
    """

    file_id: FileId
    store_upload: str | None
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Bytes that a file may have: by the first half of its declared type (`image`), else `size`."""

    size: int = FILE_MAX
    by_type: Mapping[str, int] = field(default_factory=dict)

    def most(self, media_type: str) -> int:
        """Return how many bytes a file of this type may have."""
        return min(self.size, self.by_type.get(media_type.partition("/")[0], self.size))
