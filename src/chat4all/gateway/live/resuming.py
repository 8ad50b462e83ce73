"""Resume: what a client missed, joined to what is live without a hole and without a double.

Follow first, then read (EXACTNESS 20f): from then on the head of a conversation is kept here. It is
read until its end meets that head, and attached with nothing awaited in between (20d).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.retrying import Backoff, retry
from chat4all.concurrency.slices import slices
from chat4all.concurrency.waiting import BoundedWaiting
from chat4all.domain.errors import Conflict, Overloaded, Unavailable
from chat4all.domain.ids import ConversationId
from chat4all.domain.position import START, Position
from chat4all.gateway.live.admitting import Admission
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.delivering import Delivery
from chat4all.gateway.live.followers import Followed, Follower, Stage
from chat4all.gateway.live.hub import Hub
from chat4all.gateway.live.membership import PresentMembers
from chat4all.gateway.live.next_runs import NextRuns, RowsMissing
from chat4all.gateway.live.runs import Run
from chat4all.ports.directory import Memberships
from chat4all.ports.summaries import ConversationSummaries
from chat4all.wire.frames import RESUME_MAX, ConversationFrame, Reload, Resumed

T = TypeVar("T")
P = ParamSpec("P")

RESUMES_AT_ONCE = 256
RESUMES_WAITING_MAX = 2_000
"""Further ones are refused: they come again after `RETRY_AFTER_SECONDS`."""

RESUMES_OF_USER_MAX = 8
"""Of one user's connections at once; further ones are refused in the same way."""

RETRY_AFTER_SECONDS = 5.0

READS_AT_ONCE = 16
READS_WAITING_MAX = 1_000
READ_SECONDS = 10.0
"""How long one read of a resume may take, its wait for a turn included."""

ASKED_MAX = 500
"""Conversations of one question to the store."""

BACKOFF = Backoff(first=0.2, most=2.0, tries=6)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Asked:
    """What a client says that it has. A position moves on with what is sent."""

    positions: dict[ConversationId, Position]
    is_of_another_generation: bool = False
    is_told: bool = False
    """Whether `resumed` was sent."""


class Resuming:
    """Resumes connections, a bounded number at once; the others wait in line."""

    def __init__(
        self,
        hub: Hub,
        delivery: Delivery,
        runs: NextRuns,
        admission: Admission,
        members: PresentMembers,
        memberships: Memberships,
        summaries: ConversationSummaries,
        *,
        waiting_max: int = RESUMES_WAITING_MAX,
        at_once: int = RESUMES_AT_ONCE,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._hub = hub
        self._delivery = delivery
        self._runs = runs
        self._admission = admission
        self._members = members
        self._memberships = memberships
        self._summaries = summaries
        self._most = at_once + waiting_max
        self._most_of_user = RESUMES_OF_USER_MAX
        self._backoff = backoff
        self._asked: dict[Follower, Asked] = {}
        self._reads = BoundedWaiting(
            READS_WAITING_MAX, READ_SECONDS, "reads wait for a turn", slots=READS_AT_ONCE
        )
        outages = OutageLog(_log, "resuming fails", "resuming goes on")
        self._work = KeyedWork(self._resume, outages, at_once=at_once)

    def begin(self, follower: Follower, asked: Asked) -> None:
        """Resume a connection in the background.

        Raises `Conflict` for a second resume and `Overloaded` when too many wait.
        """
        self.require_first(follower)
        of_user = sum(one.username == follower.username for one in self._asked)
        if len(self._work) >= self._most or of_user >= self._most_of_user:
            error = Overloaded("too many connections resume at once")
            error.retry_after = RETRY_AFTER_SECONDS
            raise error
        follower.stage = Stage.RESUMING
        self._asked[follower] = asked
        self._work.mark(follower)

    @staticmethod
    def require_first(follower: Follower) -> None:
        """Raise `Conflict` unless the connection has not resumed yet."""
        if follower.stage is not Stage.SIGNED_IN:
            raise Conflict("this connection has resumed: connect again to resume again")

    def forget(self, follower: Follower) -> None:
        """End the resume of a connection that is gone."""
        self._work.forget(follower)
        self._asked.pop(follower, None)

    async def close(self) -> None:
        """End every resume."""
        await self._work.close()

    async def _resume(self, follower: Follower) -> None:
        asked = self._asked[follower]
        try:
            await retry(lambda: self._resume_once(follower, asked), self._backoff)
        except ConnectionError:
            return  # it is gone
        except Exception:
            follower.socket.close(CloseCode.FAILED, "resuming failed")
            raise
        finally:
            self._asked.pop(follower, None)

    async def _resume_once(self, follower: Follower, asked: Asked) -> None:
        """Do what is left to do; after an error it goes on from there."""
        username, joined = follower.username, [follower.only] if follower.only else []
        if follower.only is None:
            joined = [one.conversation_id for one in await self._memberships.of_user(username)]
        with ExitStack() as holds:
            for part in slices(joined, ASKED_MAX):
                followed = [holds.enter_context(self._hub.held(one)) for one in part]
                found = await self._bounded(self._summaries.activity, part)
                heads = {one: Position(at.seq, at.change) for one, at in found.items()}
                await self._members.prepare(part)
                for one in followed:
                    await self._bring(follower, one, asked, heads.get(one.conversation, START))
        await self._say_removed(follower, asked, set(joined))
        await self._admit_joined(follower)
        if not asked.is_told:
            markers = await self._markers(follower)
            await follower.say_paced(follower.wrapped(Resumed(markers)))
            asked.is_told = True
        await self._admit_joined(follower)  # what came while that was written
        follower.stage = Stage.FOLLOWING

    async def _bring(
        self,
        follower: Follower,
        followed: Followed,
        asked: Asked,
        head: Position,
    ) -> None:
        """Send what is missing of one conversation, and attach the follower to it.

        `head` has just been read from the store.
        """
        conversation = followed.conversation
        if conversation in follower.conversations:
            return
        self._hub.raise_head(followed, head)
        opening = b""
        position = asked.positions.get(conversation)
        if position is None:
            opening = follower.wrapped(ConversationFrame(conversation, "added", str(head)), head)
        elif (
            asked.is_of_another_generation
            or not head.covers(position)  # it was never there
            or position.behind(head) > RESUME_MAX
        ):
            opening = follower.wrapped(Reload(conversation, str(head)), head)
        await self.replay(follower, followed, asked, head if opening else position or head, opening)

    async def replay(
        self,
        follower: Follower,
        followed: Followed,
        asked: Asked,
        position: Position,
        opening: bytes = b"",
    ) -> None:
        """Send a held conversation from a position on, until it meets the head that is kept.

        `opening` comes before all else. Attaches the follower unless its user is no member.
        """
        conversation = followed.conversation
        # What a client names was sent to it; a place to begin at is none that it was sent.
        was_sent = 0 if opening else position.seq
        version = change = -1
        run: Run | None = None
        while version != followed.members_version or not position.covers(followed.head):
            if opening or not position.covers(followed.head):
                await follower.socket.room()
            version = followed.members_version
            # After the wait for room: what was read before it may have been deleted meanwhile.
            if not run or not run.follows(position) or change != followed.head.change:
                change = followed.head.change
                try:
                    run = await self._next(followed, position)
                except RowsMissing:
                    run, position = None, followed.head
                    opening += follower.wrapped(Reload(conversation, str(position)), position)
            # Looked at after what was read; nothing is awaited between this and the write.
            if not await self._is_member(follower, conversation, asked):
                return
            frames, opening = opening, b""
            if run and run.follows(position):
                before = position.seq
                piece, position = run.piece_above(position, follower.wrap)
                frames += piece
                if position.seq > before:
                    was_sent = position.seq
            if frames:
                follower.socket.write_part(frames)
                asked.positions[conversation] = position
        # From here on what it has is kept there: it may be removed and come again.
        asked.positions.pop(conversation, None)
        if was_sent:
            self._delivery.note_sent(conversation, {follower: was_sent})
        self._hub.attach(follower, followed, position)

    async def _is_member(
        self, follower: Follower, conversation: ConversationId, asked: Asked
    ) -> bool:
        """Say whether a follower's user is a member; one that was told of it is told if not."""
        if follower.username in await self._members.of(conversation):
            return True
        if asked.positions.pop(conversation, None) is not None or follower.only:
            self._delivery.remove(follower, conversation)
        return False

    async def _next(self, followed: Followed, position: Position) -> Run | None:
        head = followed.head
        if position.covers(head):
            return None
        run = await self._bounded(self._runs.after, followed.conversation, position, head)
        # A change was announced, and its message was not.
        followed.raise_head(Position(run.needs))
        return run

    async def _say_removed(
        self, follower: Follower, asked: Asked, joined: set[ConversationId]
    ) -> None:
        former = [one for one in asked.positions if one not in joined]
        for part in slices(former, ASKED_MAX):
            frames = [follower.wrapped(ConversationFrame(one, "removed")) for one in part]
            await follower.say_paced(b"".join(frames))
            for one in part:
                del asked.positions[one]

    async def _admit_joined(self, follower: Follower) -> None:
        while follower.joined:
            conversation = follower.joined.pop()
            try:
                await self._admission.admit(follower, conversation)
            except BaseException:
                follower.joined.add(conversation)
                raise

    async def _markers(self, follower: Follower) -> dict[str, int]:
        """Return how far the follower's user has read each conversation, at most to its head."""
        markers: dict[str, int] = {}
        for part in slices(sorted(follower.conversations), ASKED_MAX):
            heads = {one: head for one in part if (head := self._hub.head(one).seq)}
            asked = {one: [follower.username] for one in heads}
            for one, found in (await self._bounded(self._summaries.read_by, asked)).items():
                if read := min(found.get(follower.username, 0), heads[one]):
                    markers[one] = read
        self._hub.told_markers(follower, markers)
        return markers

    async def _bounded(self, read: Callable[P, Awaitable[T]], *a: P.args, **kw: P.kwargs) -> T:
        """Read the store when it is this read's turn; a wait that is too long is `Unavailable`."""
        try:
            async with self._reads.turn() as seconds, asyncio.timeout(seconds):
                return await read(*a, **kw)
        except TimeoutError:
            raise Unavailable("the store does not answer in time") from None
