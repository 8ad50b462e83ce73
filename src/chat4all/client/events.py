"""What happens, as a loop over `Client.events()` is given it; made to `match` on."""

from typing import TypedDict

import msgspec

from chat4all.client.errors import ProblemError
from chat4all.client.views import Message


class Positions(TypedDict):
    """How far events were taken: JSON, to be kept and given to `Client.events(since=…)`.

    `positions` has a position for each conversation. `generation` is that of the server's data: a
    restored backup is another one.
    """

    positions: dict[str, str]
    generation: str | None


class Event(msgspec.Struct, frozen=True):
    """Something that happened. Later releases may have more kinds: end a `match` openly."""

    @property
    def new_messages(self) -> tuple[Message, ...]:
        """The messages that are next in their conversation: what a bot has to act on.

        Those of `MessageCreated`, and of `MessagesReloaded` where that continues what you have.
        """
        return ()


class Connected(Event, frozen=True):
    """A connection is there and nothing is missing any more; what follows is live."""

    username: str


class Disconnected(Event, frozen=True):
    """The connection has ended; another one is being tried for, for as long as it takes.

    `code` is that of the close frame, 1006 where there was none (docs/clients.md).
    """

    code: int
    reason: str


class MessageCreated(Event, frozen=True):
    """A message is stored. Those of one conversation come in order, each once."""

    message: Message
    position: str

    @property
    def new_messages(self) -> tuple[Message, ...]:
        """The one message."""
        return (self.message,)


class MessageChanged(Event, frozen=True):
    """A message was edited, deleted or reacted to: this is how it is now."""

    message: Message
    position: str


class MessagesReloaded(Event, frozen=True):
    """What you have of a conversation is not whole: too much was missed, or it is new to you.

    `messages` follow one another, oldest first, up to the newest. If it `continues`, they begin
    right behind the last one that you were given, or with the first one of a conversation that is
    new; very many come as several such events. Otherwise (you were added to a group that has older
    messages, or the server was restored) they are the newest page. If it `has_older` ones,
    `history(conversation_id, before=messages[0].seq)` goes on from there. What you were given
    earlier may have changed in either case.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    position: str
    continues: bool
    has_older: bool = False

    @property
    def new_messages(self) -> tuple[Message, ...]:
        """All of them, if it continues."""
        return self.messages if self.continues else ()


class ReadMoved(Event, frozen=True):
    """A member has read up to `seq`; your own other devices are told as well."""

    conversation_id: str
    username: str
    seq: int


class DeliveredMoved(Event, frozen=True):
    """Messages up to `seq` have reached a member; what they read or sent has as well."""

    conversation_id: str
    username: str
    seq: int


class Typing(Event, frozen=True):
    """A member is typing. Let it expire after 8 s."""

    conversation_id: str
    username: str


class PresenceChanged(Event, frozen=True):
    """A user whom you watch is `online` or `offline`; `last_seen` is RFC 3339, where known."""

    username: str
    status: str
    last_seen: str | None


class RequestRefused(Event, frozen=True):
    """What you asked for over the connection was refused: by `typing`, or by `watch`.

    `request` is the name of the call, `conversation_id` that of `typing`, and `error` what a call
    that is answered would have raised. A `watch` that is refused for now (`Unavailable`) is asked
    for again by itself; any other one on the next connection only.
    """

    request: str
    conversation_id: str | None
    error: ProblemError


class ConversationChanged(Event, frozen=True):
    """You were `added` or `removed`, or title, notes, members or roles have `changed` (`event`).

    Right after the first connection that began without positions, one `added` for each conversation
    that there is.
    """

    conversation_id: str
    event: str
