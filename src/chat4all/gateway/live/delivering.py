"""Delivery: what was announced of a conversation, to those who follow it.

Nobody is sent anything across a gap: what lies between is read from the store first (EXACTNESS 16).
Nothing is written for who is not a member at that moment (20f). A position moves after the frame.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.position import Position
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.connections import Wrap
from chat4all.gateway.live.followers import Announced, Followed, Follower, Followers
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.next_runs import Known, NextRuns, RowsMissing
from chat4all.gateway.live.runs import Run
from chat4all.wire.frames import (
    RESUME_MAX,
    ConversationFrame,
    DeliveredFrame,
    ReadFrame,
    Reload,
    ServerFrame,
    TypingFrame,
)

SLICE = 250
"""Connections that are written to in one turn of the event loop."""

MARKERS_SECONDS = 1.0
"""Markers of one conversation are told at most once in this time."""

Sent: TypeAlias = dict[ConversationId, dict[Follower, int]]
"""Up to which message connections were sent conversations."""

Step: TypeAlias = Callable[[Follower, Position], Position | None]
"""Writes to a follower at a position; returns the new one, or None when it stays."""


class Delivery:
    """Delivers conversations, one at a time."""

    def __init__(
        self,
        followers: Followers,
        members: PresentMembers,
        runs: NextRuns,
        *,
        slice_size: int = SLICE,
    ) -> None:
        self._followers = followers
        self._members = members
        self._runs = runs
        self._slice = slice_size
        self._sent: Sent = {}

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

    def remove(self, follower: Follower, conversation: ConversationId) -> None:
        """Let somebody who is no member any more follow no longer, and say so."""
        self._followers.detach(follower, conversation)
        follower.say(ConversationFrame(conversation, "removed"))
        if follower.only is not None:
            follower.socket.close(CloseCode.NORMAL)

    def note_sent(self, conversation: ConversationId, sent: Mapping[Follower, int]) -> None:
        """Note up to which message each of these connections was sent a conversation."""
        if sent:
            of_one = self._sent.setdefault(conversation, {})
            for follower, seq in sent.items():
                of_one[follower] = max(seq, of_one.get(follower, 0))

    def take_sent(self) -> Sent:
        """Return what was sent since the last call."""
        taken, self._sent = self._sent, {}
        return taken

    async def _deliver(self, followed: Followed, taken: Announced) -> None:
        conversation = followed.conversation
        if taken.is_incomplete:
            followed.raise_head(await self._runs.head(conversation))
        if taken.members_changed:
            await self._fan_out(followed, _say_changed(conversation))
        head = followed.head  # what is announced from here on is for the next time
        if followed.floor().behind(head) > RESUME_MAX:
            head = await self._confirmed_head(followed)
            await self._fan_out(followed, _reload_if_behind(conversation, head, RESUME_MAX))
        known = await self._runs.known(conversation, followed.floor(), taken)
        try:
            await self._send(followed, head, known)
        except RowsMissing:
            head = await self._confirmed_head(followed)
            await self._fan_out(followed, _reload_if_behind(conversation, head))
        if taken.markers:
            told = await self._tell_markers(followed, taken.markers, ReadFrame)
            for username, seq in told.items():
                followed.told_marker(username, seq)
        if taken.delivered:
            await self._tell_markers(followed, taken.delivered, DeliveredFrame)
        if taken.typing:
            await self._fan_out(followed, _say_typing(conversation, taken.typing))

    async def _confirmed_head(self, followed: Followed) -> Position:
        """Return the head as it is stored, which is what is followed from here on.

        A head that only an announcement names may be none: whoever is told to load the conversation
        up to there would be sent nothing that is stored below it (EXACTNESS 20c).
        """
        stored = await self._runs.head(followed.conversation)
        if not stored.covers(followed.head):
            followed.head = stored
            followed.missed()  # what was announced meanwhile may be above
        return stored

    async def _send(self, followed: Followed, head: Position, known: Known) -> None:
        """Send everybody what there is up to `head`, in pieces.

        Whose socket has no room for the next piece is sent it later, and holds nobody up.
        """
        run: Run | None = None
        lagging: set[Follower] = set()
        while not (floor := followed.floor(lagging)).covers(head):
            if run is None or not run.follows(floor):
                run = await self._runs.after(followed.conversation, floor, head, known)
                # A change was announced, and its message was not.
                head = head.joined(Position(run.needs))
                followed.raise_head(head)
            sent: dict[Follower, int] = {}
            try:
                await self._fan_out(followed, send(run, head, lagging, sent))
            finally:
                self.note_sent(followed.conversation, sent)
            if not followed.floor(lagging).covers(head):
                await asyncio.sleep(0)  # what was written can leave
        followed.is_lagged_behind = bool(lagging)

    async def _tell_markers(
        self,
        followed: Followed,
        markers: Mapping[Username, int],
        frame: type[ReadFrame] | type[DeliveredFrame],
    ) -> Mapping[Username, int]:
        """Tell everybody how far members have come, at most to the head; return what was told."""
        members = await self._members.of(followed.conversation)
        moved = {
            username: min(seq, followed.head.seq)
            for username, seq in markers.items()
            if username in members
        }
        if moved:
            frames = [frame(followed.conversation, *marker) for marker in moved.items()]
            await self._fan_out(followed, _say(frames))
        return moved

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


def send(run: Run, head: Position, lagging: set[Follower], sent: dict[Follower, int]) -> Step:
    """Return the step that sends a follower the next piece of a run, unless there is a gap.

    One that has no room for a piece which more follows is added to `lagging` instead. Up to which
    message others were sent is added to `sent`.
    """

    def step(follower: Follower, position: Position) -> Position | None:
        # Who came meanwhile may have less, or more: the next round is for them.
        if follower in lagging or not run.follows(position):
            return None
        frames, moved = run.piece_above(position, follower.wrap)
        if not moved.covers(head) and not follower.socket.has_room:
            lagging.add(follower)
            return None
        follower.socket.write(frames)
        if moved.seq > position.seq:
            sent[follower] = moved.seq
        return moved

    return step


def _reload_if_behind(conversation: ConversationId, head: Position, by: int = 0) -> Step:
    """Return the step that lets a follower load anew who is behind by more than so many."""

    def step(follower: Follower, position: Position) -> Position | None:
        if position.behind(head) <= by:
            return None
        follower.say(Reload(conversation, str(head)), head)
        return head

    return step


def _say_changed(conversation: ConversationId) -> Step:
    def step(follower: Follower, position: Position) -> None:
        follower.say(ConversationFrame(conversation, "changed", str(position)))

    return step


def _say(frames: Sequence[ServerFrame]) -> Step:
    """Return the step that writes frames without a position, which are encoded once."""
    wrapped: dict[Wrap, bytes] = {}

    def step(follower: Follower, _: Position) -> None:
        if follower.wrap not in wrapped:
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
