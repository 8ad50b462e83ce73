"""What comes next in a conversation, as frames that are encoded once for all connections."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from chat4all.domain.ids import Username
from chat4all.domain.messages import Status, StoredMessage
from chat4all.domain.position import Position
from chat4all.gateway.live.connections import Wrap
from chat4all.ports.history import EncodedPage
from chat4all.wire.frames import MessageChangedFrame, MessageFrame, ServerFrame, encode_frame
from chat4all.wire.messages import MessageView, message_view

PIECE_MAX = 64 * 1024
"""Bytes that are written to one connection at once; one frame may be larger."""

View: TypeAlias = MessageView | msgspec.Raw

_views = msgspec.json.Decoder(list[msgspec.Raw])


class _Numbered(msgspec.Struct):
    seq: int


_numbered = msgspec.json.Decoder(_Numbered)


class Entry(NamedTuple):
    """A message as it is shown, and the number that a connection has once it was sent it."""

    number: int
    view: View


class Run(ABC):
    """Entries with rising numbers, which together lead from `first` to `last`; at least one.

    `needs` is the number of the message that a connection must have before it is sent any.
    """

    needs = 0

    def __init__(self, first: int, entries: Sequence[Entry]) -> None:
        self.first = first
        self.last = entries[-1].number
        self._entries = entries
        self._wrapped: dict[tuple[Wrap, Position], bytes] = {}
        self._pieces: dict[tuple[Wrap, Position], tuple[bytes, Position]] = {}

    def follows(self, position: Position) -> bool:
        """Return whether this is what comes next for a connection at a position."""
        return position.seq >= self.needs and self.first - 1 <= self._of(position) < self.last

    def piece_above(self, position: Position, wrap: Wrap) -> tuple[bytes, Position]:
        """Return what comes next at a position, and the position of a connection that has it.

        It is as one kind of connection has it, at most `PIECE_MAX` bytes or one frame.
        """
        piece = self._pieces.get((wrap, position))
        if piece is None:
            piece = self._pieces[wrap, position] = self._piece_above(position, wrap)
        return piece

    def _piece_above(self, position: Position, wrap: Wrap) -> tuple[bytes, Position]:
        start = bisect_right(self._entries, self._of(position), key=lambda entry: entry.number)
        frames: list[bytes] = []
        size = 0
        for entry in self._entries[start:]:
            moved = self._moved(position, entry.number)
            frame = self._wrapped.get((wrap, moved))
            if frame is None:
                payload = encode_frame(self._frame(entry.view, str(moved)))
                frame = self._wrapped[wrap, moved] = wrap(payload, str(moved))
            if frames and size + len(frame) > PIECE_MAX:
                break
            frames.append(frame)
            size += len(frame)
            position = moved
        return b"".join(frames), position

    @abstractmethod
    def _of(self, position: Position) -> int:
        """Return the number of a position that this run moves."""

    @abstractmethod
    def _moved(self, position: Position, number: int) -> Position:
        """Return a position with another such number."""

    @abstractmethod
    def _frame(self, view: View, position: str) -> ServerFrame:
        """Return the frame of an entry."""


class Messages(Run):
    """Consecutive messages."""

    def _of(self, position: Position) -> int:
        return position.seq

    def _moved(self, position: Position, number: int) -> Position:
        return Position(number, position.change)

    def _frame(self, view: View, position: str) -> ServerFrame:
        return MessageFrame(view, position)


class Changes(Run):
    """Consecutive changes; several in a row of one message are one entry.

    The messages were read after all of these changes: each may be ahead of its number, not behind.
    """

    def __init__(
        self, numbers: Sequence[tuple[int, int]], messages: Mapping[int, MessageView]
    ) -> None:
        """`numbers` are the changes, each with the number of its message."""
        entries: list[Entry] = []
        for change, seq in numbers:
            entry = Entry(change, messages[seq])
            if entries and entries[-1].view is entry.view:
                entries.pop()
            entries.append(entry)
        super().__init__(numbers[0][0], entries)
        self.needs = max(seq for _, seq in numbers)

    def _of(self, position: Position) -> int:
        return position.change

    def _moved(self, position: Position, number: int) -> Position:
        return Position(position.seq, number)

    def _frame(self, view: View, position: str) -> ServerFrame:
        return MessageChangedFrame(view, position)


def run_of_page(page: EncodedPage, after: int) -> Run | None:
    """Return the messages of a page of the history that begins above `after`; None if it is empty.

    Rows that the store has lost, or that an operator has deleted, are passed over.
    """
    if not page.size:
        return None
    views = _views.decode(page.body)
    numbers: Sequence[int] = range(page.first, page.last + 1)
    if len(numbers) != len(views):
        numbers = [_numbered.decode(view).seq for view in views]
    entries = [Entry(seq, view) for seq, view in zip(numbers, views, strict=True)]
    return Messages(after + 1, entries)


def run_of_announced(
    messages: Sequence[StoredMessage], aliases: Mapping[Username, Username]
) -> Run:
    """Return messages as their announcement has them; they are consecutive."""
    return Messages(
        messages[0].seq,
        [
            # Others cannot have read what they are told of only now.
            Entry(one.seq, message_view(one.under(aliases), Status.DELIVERED))
            for one in messages
        ],
    )


def newest_consecutive(messages: Sequence[StoredMessage]) -> Sequence[StoredMessage]:
    """Return the newest of these messages, down to the first number that is missing."""
    by_number = {message.seq: message for message in messages}
    numbers = sorted(by_number, reverse=True)
    consecutive = [
        by_number[number] for below, number in enumerate(numbers) if number == numbers[0] - below
    ]
    return consecutive[::-1]


def next_changes(
    changes: Iterable[tuple[int, int]], after: int, limit: int
) -> Sequence[tuple[int, int]]:
    """Return those of these changes that come next after a number, up to the first that is missing.

    Each has the number of its message with it.
    """
    by_number = dict(changes)
    found: list[tuple[int, int]] = []
    while len(found) < limit and (change := after + 1 + len(found)) in by_number:
        found.append((change, by_number[change]))
    return found
