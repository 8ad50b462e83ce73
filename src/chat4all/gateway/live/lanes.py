"""What a client says of a conversation in which a reply waits for what it answers.

A reply may wait some seconds until the message that it answers is stored. What is said later of the
same conversation waits behind it, since its order counts; what is said of others goes on.
"""

from collections import deque
from collections.abc import Awaitable, Callable

from chat4all.concurrency.keyed import KeyedWork
from chat4all.domain.ids import ConversationId
from chat4all.wire.client_frames import Envelope, conversation_of

_OF_CONVERSATIONS = frozenset({"send", "edit", "delete", "react", "unreact", "read", "typing"})

_REPLY = b'"reply_to"'

Do = Callable[[Envelope, bytes], Awaitable[None]]
"""Does one frame, and answers it."""


class Lane:
    """Frames of one conversation, done in order beside the others."""

    __slots__ = ("_lanes", "conversation", "frames")

    def __init__(self, lanes: "Lanes", conversation: ConversationId) -> None:
        self._lanes = lanes
        self.conversation = conversation
        self.frames: deque[tuple[Envelope, bytes]] = deque()

    async def do(self) -> None:
        """Do what waits; a lane ends with its last frame."""
        while self.frames:
            await self._lanes.do(*self.frames.popleft())
        self._lanes.end(self)


LaneWork = KeyedWork[Lane]


class Lanes:
    """The lanes of one client. It bounds how many frames are taken, those being done included."""

    __slots__ = ("_lanes", "_work", "do")

    def __init__(self, work: LaneWork, do: Do) -> None:
        self._work = work
        self._lanes: dict[ConversationId, Lane] = {}
        self.do = do

    def take(self, said: Envelope, frame: bytes) -> bool:
        """Let a frame wait in a lane, if it is a reply or comes behind one; say whether."""
        opens = said.type == "send" and _REPLY in frame
        if not (opens or self._lanes) or said.type not in _OF_CONVERSATIONS:
            return False
        conversation = conversation_of(frame)
        if conversation is None:
            return False
        lane = self._lanes.get(conversation)
        if lane is None:
            if not opens:
                return False
            lane = self._lanes[conversation] = Lane(self, conversation)
        lane.frames.append((said, frame))
        self._work.mark(lane)
        return True

    def end(self, lane: Lane) -> None:
        """Forget a lane in which nothing waits."""
        if self._lanes.get(lane.conversation) is lane:
            del self._lanes[lane.conversation]

    def clear(self) -> None:
        """Do nothing more of what waits."""
        for lane in self._lanes.values():
            lane.frames.clear()

    def close(self) -> None:
        """End what is under way too."""
        for lane in self._lanes.values():
            self._work.forget(lane)
        self._lanes.clear()
