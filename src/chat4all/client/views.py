"""What the client returns: the shapes of the wire, open to values of later releases.

A server may be newer than the client: kinds, statuses and roles are texts here, since one that this
release does not know must not make a whole page unreadable. They are equal to the members of
`Kind`, `Status` and `Role`, which are texts too. Fields have the names of the wire.
"""

from collections.abc import Iterator

import msgspec

from chat4all.domain.changes import ReactionCount
from chat4all.wire.files import FileLinkView, NamingMessageView, OwnFileView
from chat4all.wire.messages import MessageView, ReceiptView, VersionView
from chat4all.wire.people import (
    ConversationView,
    MemberView,
    OwnProfile,
    Profile,
    SessionView,
    Token,
)
from chat4all.wire.people import ListedConversation as InList

__all__ = [
    "Conversation",
    "FileLinkView",
    "ListedConversation",
    "Member",
    "Message",
    "NamingMessageView",
    "OwnFile",
    "OwnProfile",
    "Page",
    "Profile",
    "ReactionCount",
    "ReceiptView",
    "Reply",
    "SessionView",
    "Token",
    "VersionView",
    "WholeConversation",
]


class Reply(msgspec.Struct, frozen=True):
    """The message that another one answers, as that is now: at most its first 200 characters."""

    seq: int
    message_id: str
    sender_id: str
    kind: str
    content: str
    deleted: bool


# Ignored by mypy: fields that are open in place of closed ones.
class Message(MessageView, kw_only=True):
    """A message as its readers see it. Times are RFC 3339 in UTC.

    `seq` is its number in the conversation, 1, 2, 3 …; None while only the log has it.
    """

    status: str  # type: ignore[assignment]
    kind: str  # type: ignore[assignment]
    reply_to: Reply | None  # type: ignore[assignment]


class Page(msgspec.Struct, frozen=True):
    """Messages that follow one another, oldest first.

    `position` says what it was read at, `<seq>.<change>`: it may show something newer, never older.
    """

    messages: tuple[Message, ...]
    position: str

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)


class OwnFile(OwnFileView, kw_only=True):
    """A file of your own, or an upload: `state` is `uploading`, `checking`, `ready` or `refused`.

    `messages` are your own messages that have it, at most ten; others may have it as well, so
    `in_use` says whether any does. `expires_at` is when it is deleted by itself.
    """

    state: str  # type: ignore[assignment]
    messages: tuple[NamingMessageView, ...]  # type: ignore[assignment]


class Member(MemberView, kw_only=True):
    """One member; `role` is `owner`, `admin` or `member`."""

    role: str  # type: ignore[assignment]


class Conversation(ConversationView, kw_only=True):
    """A conversation as all its members see it; `type` is `private` or `group`."""

    type: str  # type: ignore[assignment]
    members: tuple[Member, ...]  # type: ignore[assignment]


class ListedConversation(InList, Conversation, kw_only=True):
    """A conversation in your list. Of a large group `members` has the first 100, by name.

    `member_count` counts all of them. `unread_mentions` has the `seq` of each unread message that
    mentions you; `peer` is the other one of a private conversation, `role` is yours. `position` is
    how far all this goes.
    """

    type: str
    members: tuple[Member, ...]  # type: ignore[assignment]
    role: str  # type: ignore[assignment]
    last_message: Message | None


class WholeConversation(ListedConversation, kw_only=True):
    """One conversation that you are in: what a list shows of it, and all its members, by name."""
