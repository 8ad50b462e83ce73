"""Kinds of messages, and what a message may have besides its text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from chat4all.domain.ids import MessageId, Username

PAYLOAD_MAX = 16 * 1024
"""Bytes of a payload, as JSON in UTF-8 without spaces."""

MENTIONS_MAX = 50
"""Users that one message mentions."""

UNREAD_MENTIONS_MAX = 50
"""Unread mentions that a list shows of one conversation, the newest ones."""

UNREAD_MAX = 1_000
"""Unread messages of one conversation, the newest ones, among which they are looked for."""

PREVIEW_MAX = 200
"""Characters that a reply shows of the message that it answers."""


class Kind(StrEnum):
    """What a message is.

    A router puts a record of any other kind aside: a longer list needs a higher version of the
    record.
    """

    TEXT = "text"
    IMAGE = "image"
    FILE = "file"
    AUDIO = "audio"
    VIDEO = "video"
    LOCATION = "location"
    CONTACT = "contact"
    SYSTEM = "system"  # the service's own
    CUSTOM = "custom"


FILE_KINDS = frozenset({Kind.IMAGE, Kind.FILE, Kind.AUDIO, Kind.VIDEO})
"""Those whose payload names a file."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The message that another one answers, as it is now.

    `content` has at most the first 200 characters, and is empty once the message is `deleted`.
    """

    seq: int
    message_id: MessageId
    sender_id: Username
    kind: Kind
    content: str
    deleted: bool

    def under(self, aliases: Mapping[Username, Username]) -> "Reply":
        """Return it with another name in the place of its sender's, if there is one."""
        return replace(self, sender_id=aliases.get(self.sender_id, self.sender_id))
