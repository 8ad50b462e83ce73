"""What happens, as a loop over `Client.events()` is given it; made to `match` on."""

from typing import TypeAlias, TypedDict

import msgspec

from chat4all.client.views import Message


class Positions(TypedDict):
    """How far events were taken: JSON, to be kept and given to `Client.events(since=…)`.

    `positions` has a position for each conversation. `generation` is that of the server's data: a
    restored backup is another one.
    """

    positions: dict[str, str]
    generation: str | None


class Connected(msgspec.Struct, frozen=True):
    """A connection is there and nothing is missing any more; what follows is live."""

    username: str


class Disconnected(msgspec.Struct, frozen=True):
    """The connection has ended; another one is being tried for, for as long as it takes.

    `code` is that of the close frame, 1006 where there was none (docs/clients.md).
    """

    code: int
    reason: str


class MessageCreated(msgspec.Struct, frozen=True):
    """A message is stored. Those of one conversation come in order, each once."""

    message: Message
    position: str


class MessageChanged(msgspec.Struct, frozen=True):
    """A message was edited, deleted or reacted to: this is how it is now."""

    message: Message
    position: str


class MessagesReloaded(msgspec.Struct, frozen=True):
    """What you have of a conversation is not whole: too much was missed, or you are new in it.

    `messages` follow one another, oldest first, up to the newest. They begin right behind the last
    one that you were given; where there is none (a conversation that is new to you, a restored
    server) they are the newest page, and the history has the rest. Messages that you were given
    earlier may have changed. Many come as several such events.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    position: str


class ReadMoved(msgspec.Struct, frozen=True):
    """A member has read up to `seq`; your own other devices are told as well."""

    conversation_id: str
    username: str
    seq: int


class Typing(msgspec.Struct, frozen=True):
    """A member is typing. Let it expire after 8 s."""

    conversation_id: str
    username: str


class PresenceChanged(msgspec.Struct, frozen=True):
    """A user whom you watch is `online` or `offline`; `last_seen` is RFC 3339, where known."""

    username: str
    status: str
    last_seen: str | None


class ConversationChanged(msgspec.Struct, frozen=True):
    """You were `added` or `removed`, or title, notes, members or roles have `changed` (`event`).

    Right after the first connection that began without positions, one `added` for each conversation
    that there is.
    """

    conversation_id: str
    event: str


Event: TypeAlias = (
    Connected
    | Disconnected
    | MessageCreated
    | MessageChanged
    | MessagesReloaded
    | ReadMoved
    | Typing
    | PresenceChanged
    | ConversationChanged
)
"""Everything that a loop may be given. Later releases may add to it: end a `match` openly."""
