"""Consecutive messages as frames, encoded once for all connections."""

from collections.abc import Mapping, Sequence

import msgspec

from chat4all.domain.ids import Username
from chat4all.domain.messages import Status, StoredMessage
from chat4all.domain.position import Position
from chat4all.gateway.live.connections import Wrap
from chat4all.ports.history import EncodedPage
from chat4all.wire.frames import MessageFrame, encode_frame
from chat4all.wire.messages import message_view

PIECE_MAX = 64 * 1024
"""Bytes that are written to one connection at once; one frame may be larger."""

_views = msgspec.json.Decoder(list[msgspec.Raw])


class Run:
    """Frames of consecutive messages; at least one."""

    def __init__(self, first: int, payloads: Sequence[bytes]) -> None:
        self.first = first
        self.last = first + len(payloads) - 1
        self._payloads = payloads
        self._wrapped: dict[Wrap, Sequence[bytes]] = {}
        self._pieces: dict[tuple[Wrap, int], tuple[bytes, Position]] = {}

    def piece_above(self, seq: int, wrap: Wrap) -> tuple[bytes, Position]:
        """Return frames of messages above `seq`, and the position of a connection that has them.

        They are as one kind of connection has them, at most `PIECE_MAX` bytes or one frame.
        """
        seq = max(seq, self.first - 1)
        piece = self._pieces.get((wrap, seq))
        if piece is None:
            piece = self._pieces[wrap, seq] = self._piece_above(seq, wrap)
        return piece

    def _piece_above(self, seq: int, wrap: Wrap) -> tuple[bytes, Position]:
        wrapped = self._wrapped.get(wrap)
        if wrapped is None:
            wrapped = self._wrapped[wrap] = [
                wrap(payload, str(Position(self.first + number)))
                for number, payload in enumerate(self._payloads)
            ]
        start = end = seq + 1 - self.first
        size = 0
        while end < len(wrapped) and (end == start or size + len(wrapped[end]) <= PIECE_MAX):
            size += len(wrapped[end])
            end += 1
        return b"".join(wrapped[start:end]), Position(self.first + end - 1)


def run_of_page(page: EncodedPage) -> Run | None:
    """Return the messages of a page of the history; None for an empty one."""
    if not page.size:
        return None
    return Run(
        page.first,
        [
            encode_frame(MessageFrame(view, str(Position(page.first + number))))
            for number, view in enumerate(_views.decode(page.body))
        ],
    )


def run_of_announced(
    messages: Sequence[StoredMessage], aliases: Mapping[Username, Username]
) -> Run:
    """Return messages as their announcement has them; they are consecutive."""
    return Run(
        messages[0].seq,
        [
            encode_frame(
                MessageFrame(
                    message_view(
                        message.under(aliases),
                        # Others cannot have read what they are told of only now.
                        Status.DELIVERED,
                    ),
                    str(Position(message.seq)),
                )
            )
            for message in messages
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
