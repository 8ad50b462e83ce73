"""What frames mean to somebody who has seen so much: events, and positions that move with them.

Nothing here waits for anything. A step counts once it is committed, which is when there was room
for it: the next connection resumes from there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from chat4all.client.events import (
    ConversationChanged,
    DeliveredMoved,
    Event,
    MessageChanged,
    MessageCreated,
    PresenceChanged,
    ReadMoved,
    Typing,
)
from chat4all.client.frames import (
    ConversationFrame,
    Frame,
    MessageChangedFrame,
    MessageFrame,
    PresenceFrame,
    read_position,
)
from chat4all.client.refusing import refused_by
from chat4all.domain.position import Position
from chat4all.domain.times import format_milliseconds, parse_milliseconds
from chat4all.wire.frames import DeliveredFrame, ErrorFrame, ReadFrame, Reload, TypingFrame


@dataclass(frozen=True, slots=True)
class Step:
    """An event, and what counts as seen once it is taken; without an event only that."""

    event: Event | None = None
    conversation: str = ""
    position: Position | None = None
    is_forgotten: bool = False
    """Whether the conversation has no position any more."""
    generation: str | None = None
    """That of all positions from now on."""
    told_all_at: str | None = None
    """With `generation`: see `Following`."""
    pages: Sequence["ReadPage"] = ()
    """Of the history, which `event` shows."""


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Messages of a history from `first` to `last`, with all changes up to number `change`."""

    first: int
    last: int
    change: int


@dataclass(frozen=True, slots=True)
class MustReload:
    """The history of a conversation has to be read; `known` is None where nothing is known.

    Then all of the conversation may be new: `told_all_at` is that of `Following`, or None where
    that cannot be concluded from it.
    """

    conversation: str
    position: Position
    known: Position | None
    told_all_at: str | None = None


NO_TIME = "9"
"""Sorts after every time: stands for one of an earlier run, which is not known any more."""


class Gap(Exception):
    """A message is missing before this one."""


@dataclass(slots=True)
class Following:
    """Where somebody is in each conversation."""

    positions: dict[str, Position]
    generation: str | None
    is_beginning: bool
    """Whether conversations that are told of are those that there were, and not new ones."""
    told_all_at: str | None = None
    """When, by the server's clock, a connection began that told of every conversation; None where
    there was none in this generation. A conversation without a position is new since then, or
    somebody has been added to it.
    """
    left: set[str] = field(default_factory=set)
    """Conversations that were left since then: none of them is new."""
    username: str = ""
    clock: Callable[[], float] = time.monotonic
    _server_time: str = ""
    _connected_on: float | None = None
    _told_on: float | None = None
    """When by `clock` that of `told_all_at` began, if it was in this loop over the events."""
    _pages: dict[str, list[ReadPage]] = field(default_factory=dict)
    _read: dict[str, int] | None = None
    """My own markers."""
    _gap: tuple[str, int] | None = None

    def connect(self, username: str, generation: str | None, server_time: str) -> None:
        """Begin a connection; positions of another generation are not known any more."""
        self._connected_on = self.clock()
        if self.told_all_at is not None and self._told_on is not None:
            earlier = _earlier(server_time, self._connected_on - self._told_on)
            # Later than that only where the server's clock was ahead and was set right.
            self.told_all_at = min(self.told_all_at, earlier)
        self.username, self._server_time = username, server_time
        if generation != self.generation and None not in {generation, self.generation}:
            self.positions.clear()
            self._pages.clear()
            self._read = None
        if generation != self.generation:
            self.told_all_at = None
        self.generation = generation

    def steps(self, frame: Frame) -> Iterator[Step | MustReload]:
        """Yield what a frame means. Raises `Gap`."""
        match frame:
            case MessageFrame():
                yield from self._created(frame)
            case MessageChangedFrame():
                yield from self._changed(frame)
            case Reload(conversation_id=conversation, position=position):
                yield self._reload(conversation, position)
            case ConversationFrame():
                yield from self._conversation(frame)
            case ReadFrame(conversation_id=conversation, username=username, seq=seq):
                if username != self.username or self._marks(conversation, seq):
                    yield Step(ReadMoved(conversation, username, seq))
            case DeliveredFrame(conversation_id=conversation, username=username, seq=seq):
                yield Step(DeliveredMoved(conversation, username, seq))
            case TypingFrame(conversation_id=conversation, username=username):
                yield Step(Typing(conversation, username))
            case PresenceFrame(username=username, status=status, last_seen=last_seen):
                yield Step(PresenceChanged(username, status, last_seen))
            case ErrorFrame() if (refused := refused_by(frame)) is not None:
                yield Step(refused)

    def resumed(self, markers: dict[str, int]) -> Iterator[Step]:
        """Yield what the end of a resume means: markers that moved meanwhile."""
        self.is_beginning = False
        if self.generation is not None:
            self.told_all_at, self._told_on = self._server_time, self._connected_on
            self.left.clear()
        if self._read is None:
            self._read = dict(markers)
        moved = [(one, seq) for one, seq in markers.items() if self._marks(one, seq)]
        yield from (Step(ReadMoved(one, self.username, seq)) for one, seq in moved)
        yield Step(generation=self.generation, told_all_at=self.told_all_at)

    def commit(self, step: Step) -> None:
        """Count a step as seen."""
        if step.is_forgotten:
            self.left.add(step.conversation)
            self.positions.pop(step.conversation, None)
            self._pages.pop(step.conversation, None)
        if step.position is not None:
            self.positions[step.conversation] = step.position
            pages = [*self._pages.get(step.conversation, ()), *step.pages]
            # Those that may still spare a change.
            pages = [page for page in pages if page.change > step.position.change]
            if pages:
                self._pages[step.conversation] = pages
            else:
                self._pages.pop(step.conversation, None)

    def _created(self, frame: MessageFrame) -> Iterator[Step | MustReload]:
        message, position = frame.message, read_position(frame.position)
        conversation, seq = message.conversation_id, message.seq or position.seq
        known = self.positions.get(conversation) or Position(seq - 1, position.change)
        if seq <= known.seq:
            return
        if seq > known.seq + 1:
            yield self._missing(conversation, known, position)
            return
        moved = Position(seq, max(known.change, position.change))
        yield Step(MessageCreated(message, frame.position), conversation, moved)

    def _changed(self, frame: MessageChangedFrame) -> Iterator[Step | MustReload]:
        message, position = frame.message, read_position(frame.position)
        conversation, seq = message.conversation_id, message.seq or 0
        known = self.positions.get(conversation) or Position(position.seq, position.change - 1)
        if position.change <= known.change:
            return
        if seq > known.seq:
            yield self._missing(conversation, known, position)
            return
        is_shown = any(
            p.first <= seq <= p.last and position.change <= p.change
            for p in self._pages.get(conversation, ())
        )
        event = None if is_shown else MessageChanged(message, frame.position)
        yield Step(event, conversation, Position(known.seq, position.change))

    def _missing(self, conversation: str, known: Position, position: Position) -> MustReload:
        """Ask for the history where the same message is missing again after a resume."""
        gap = (conversation, known.seq)
        if self._gap != gap:
            self._gap = gap
            raise Gap(f"message {known.seq + 1} of a conversation did not come")
        return MustReload(conversation, position, known)

    def _conversation(self, frame: ConversationFrame) -> Iterator[Step | MustReload]:
        conversation = frame.conversation_id
        event = ConversationChanged(conversation, frame.event)
        match frame.event:
            case "added" if frame.position is not None and self.is_beginning:
                yield Step(event, conversation, read_position(frame.position))
            case "added" if frame.position is not None:
                yield Step(event)
                yield self._reload(conversation, frame.position)
            case "removed":
                yield Step(event, conversation, is_forgotten=True)
            case _:
                yield Step(event)

    def _reload(self, conversation: str, position: str) -> MustReload:
        known, least = self.positions.get(conversation), read_position(position)
        if known is None and least.seq == 0:
            known = least  # it was empty: whatever the history has by then is new
        told_all_at = None if conversation in self.left else self.told_all_at
        return MustReload(conversation, least, known, told_all_at)

    def _marks(self, conversation: str, seq: int) -> bool:
        """Keep my own marker; return whether it has moved."""
        self._read = self._read if self._read is not None else {}
        has_moved = seq > self._read.get(conversation, 0)
        if has_moved:
            self._read[conversation] = seq
        return has_moved


def _earlier(server_time: str, seconds: float) -> str:
    """Return a time that was so long before; one that is not understood stands for any."""
    try:
        return format_milliseconds(parse_milliseconds(server_time) - round(seconds * 1000))
    except (ValueError, OverflowError):
        return NO_TIME
