"""A user's own files as a list shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from chat4all.domain.files import FileId, FileState
from chat4all.domain.ids import ConversationId, MessageId

NAMING_MESSAGES_MAX = 10
"""Messages that a list names of each file, so that it costs the same however often it was sent."""


class FileOrder(StrEnum):
    """In which order files are listed."""

    NEWEST = "newest"
    LARGEST = "largest"


class FilePlace(NamedTuple):
    """A file's place in an order: by its time, in milliseconds since 1970, or its size in bytes."""

    value: int
    file_id: FileId


class NamingMessage(NamedTuple):
    """A message of the owner's that names the file."""

    conversation_id: ConversationId
    message_id: MessageId


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file, or an upload that is to become one, as its owner sees it. Times as in `Upload`.

    `media_type` is found in its content; of an upload it is what its uploader says. `created_at` is
    when it was begun, or, of what is whole, when it became so. `messages` are at most
    `NAMING_MESSAGES_MAX`, of conversations that the owner is in; others may name it as well.
    """

    file_id: FileId
    name: str
    size: int
    media_type: str
    state: FileState
    created_at: int
    expires_at: int
    """0 while a message names it, whoever sent that."""
    messages: Sequence[NamingMessage] = ()

    @property
    def is_in_use(self) -> bool:
        """Whether a message names it."""
        return self.expires_at == 0

    def place(self, order: FileOrder) -> FilePlace:
        """Return where it stands in this order."""
        value = self.created_at if order is FileOrder.NEWEST else self.size
        return FilePlace(value, self.file_id)
