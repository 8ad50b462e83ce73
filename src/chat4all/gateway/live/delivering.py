"""Delivery: what was announced of a conversation, to those who follow it.

Nobody is sent anything across a gap: what lies between is read from the store first (EXACTNESS 16).
Nothing is written for who is not a member at that moment (20f). A position moves after the frame.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import StoredMessage
from chat4all.domain.position import Position
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.connections import Wrap
from chat4all.gateway.live.followers import Announced, Followed, Follower, Followers
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.runs import (
    Run,
    newest_consecutive,
    run_of_announced,
    run_of_page,
)
from chat4all.ports.history import ConversationHeads
from chat4all.usecases.public_names import PublicNames
from chat4all.usecases.reading import Reading
from chat4all.wire.frames import (
    RESUME_MAX,
    ConversationFrame,
    ReadFrame,
    Reload,
    TypingFrame,
)

SLICE = 250
"""Connections that are written to in one turn of the event loop."""

PAGE = 100
"""Messages that are read at once."""

MARKERS_SECONDS = 1.0
"""Markers of one conversation are told at most once in this time."""

NOT_STORED_YET = "the store does not have what was announced yet"

Step: TypeAlias = Callable[[Follower, Position], Position | None]
"""Writes to a follower at a position; returns the new one, or None when it stays."""


class Delivery:
    """Delivers conversations, one at a time."""

    def __init__(
        self,
        followers: Followers,
        members: PresentMembers,
        reading: Reading,
        heads: ConversationHeads,
        names: PublicNames,
        *,
        slice_size: int = SLICE,
    ) -> None:
        self._followers = followers
        self._members = members
        self._reading = reading
        self._heads = heads
        self._names = names
        self._slice = slice_size

    async def deliver(self, conversation: ConversationId) -> None:
        """Send everybody who follows a conversation what they do not have yet.

        Raises `Unavailable` when that is not certain now; what was noted stays noted.
        """
        followed = self._followers.get(conversation)
        if followed is None:
            return
        loop = asyncio.get_running_loop()
        with_markers = followed.has_markers() and loop.time() >= followed.markers_from
        taken = followed.take(markers=with_markers)
        try:
            await self._deliver(followed, taken)
        except BaseException:
            followed.put_back(taken)
            raise
        if with_markers:
            followed.markers_from = loop.time() + MARKERS_SECONDS

    async def page(self, conversation: ConversationId, after: int, limit: int) -> Run | None:
        """Read the next messages above `after`; None where there are none."""
        members = await self._members.of(conversation)
        return run_of_page(await self._reading.above(conversation, members, after, limit))

    def remove(self, follower: Follower, conversation: ConversationId) -> None:
        """Let somebody who is no member any more follow no longer, and say so."""
        self._followers.detach(follower, conversation)
        follower.say(ConversationFrame(conversation, "removed"))
        if follower.only is not None:
            follower.socket.close(CloseCode.NORMAL)

    async def _deliver(self, followed: Followed, taken: Announced) -> None:
        conversation = followed.conversation
        if taken.is_incomplete:
            stored = await self._heads.head(conversation)
            followed.head = max(followed.head, stored)  # it may have grown meanwhile
        if taken.members_changed:
            await self._fan_out(followed, _say_changed(conversation))
        head = followed.head  # what is announced from here on is for the next time
        if head - followed.floor() > RESUME_MAX:
            await self._fan_out(followed, _reload_if_far_behind(conversation, head))
        announced = await self._announced(followed, taken.messages)
        await self._send(followed, head, announced)
        if taken.markers:
            await self._tell_markers(followed, taken.markers)
        if taken.typing:
            await self._fan_out(followed, _say_typing(conversation, taken.typing))

    async def _send(self, followed: Followed, head: int, announced: Run | None) -> None:
        """Send everybody what there is up to `head`, in pieces.

        Whose socket has no room for the next piece is sent it later, and holds nobody up.
        """
        run: Run | None = None
        lagging: set[Follower] = set()
        while (floor := followed.floor(lagging)) < head:
            if run is None or not run.first - 1 <= floor < run.last:
                run = await self._next(followed, floor, head, announced)
            await self._fan_out(followed, send(run, head, lagging))
            if followed.floor(lagging) < head:
                await asyncio.sleep(0)  # what was written can leave
        followed.is_lagged_behind = bool(lagging)

    async def _next(self, followed: Followed, floor: int, head: int, announced: Run | None) -> Run:
        """Return messages that begin right above `floor`: from the store if not announced."""
        end = head
        if announced is not None and floor < announced.last:
            if announced.first <= floor + 1:
                return announced
            end = announced.first - 1
        run = await self.page(followed.conversation, floor, min(PAGE, end - floor))
        if run is None:
            raise Unavailable(NOT_STORED_YET)
        return run

    async def _announced(self, followed: Followed, messages: Iterable[StoredMessage]) -> Run | None:
        floor = followed.floor()
        # A reply is read from the store, which knows what it answers as that is now.
        consecutive = newest_consecutive(
            [one for one in messages if one.seq > floor and one.reply_seq is None]
        )
        if not consecutive:
            return None
        members = await self._members.of(followed.conversation)
        names = {name for one in consecutive for name in (one.sender_id, *one.mentions)}
        aliases = await self._names.aliases(names, members)
        return run_of_announced(consecutive, aliases)

    async def _tell_markers(self, followed: Followed, markers: Mapping[Username, int]) -> None:
        members = await self._members.of(followed.conversation)
        moved = {
            username: min(seq, followed.head)
            for username, seq in markers.items()
            if username in members
        }
        if moved:
            await self._fan_out(followed, _say_read(followed.conversation, moved))

    async def _fan_out(self, followed: Followed, step: Step) -> None:
        """Take the step for each follower, in slices; the event loop gets its turn between them."""
        followers = tuple(followed.positions)
        for start in range(0, len(followers), self._slice):
            if start:
                await asyncio.sleep(0)
            members = await self._members.of(followed.conversation)
            for follower in followers[start : start + self._slice]:
                position = followed.positions.get(follower)
                if position is None:
                    continue  # it has left meanwhile
                if follower.username not in members:
                    self.remove(follower, followed.conversation)
                elif (moved := step(follower, position)) is not None:
                    followed.positions[follower] = moved


def send(run: Run, head: int, lagging: set[Follower]) -> Step:
    """Return the step that sends a follower the next piece of a run, unless there is a gap.

    One that has no room for a piece which more follows is added to `lagging` instead.
    """

    def step(follower: Follower, position: Position) -> Position | None:
        # Who came meanwhile may have less, or more: the next round is for them.
        if not run.first - 1 <= position.seq < run.last:
            return None
        frames, moved = run.piece_above(position.seq, follower.wrap)
        if moved.seq < head and not follower.socket.has_room:
            lagging.add(follower)
            return None
        follower.socket.write(frames)
        return moved

    return step


def _reload_if_far_behind(conversation: ConversationId, head: int) -> Step:
    def step(follower: Follower, position: Position) -> Position | None:
        if head - position.seq <= RESUME_MAX:
            return None
        at = Position(head)
        follower.say(Reload(conversation, str(at)), at)
        return at

    return step


def _say_changed(conversation: ConversationId) -> Step:
    def step(follower: Follower, position: Position) -> None:
        follower.say(ConversationFrame(conversation, "changed", str(position)))

    return step


def _say_read(conversation: ConversationId, moved: dict[Username, int]) -> Step:
    wrapped: dict[Wrap, bytes] = {}

    def step(follower: Follower, _: Position) -> None:
        if follower.wrap not in wrapped:
            frames = (ReadFrame(conversation, username, seq) for username, seq in moved.items())
            wrapped[follower.wrap] = b"".join(map(follower.wrapped, frames))
        follower.socket.write(wrapped[follower.wrap])

    return step


def _say_typing(conversation: ConversationId, usernames: set[Username]) -> Step:
    def step(follower: Follower, _: Position) -> None:
        for username in usernames:
            if username != follower.username:
                frame = follower.wrapped(TypingFrame(conversation, username))
                follower.socket.write_passing(frame)

    return step
