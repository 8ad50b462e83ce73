"""Something bounded that clients share: a slow one does not hold it while others wait."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from chat4all.domain.errors import Overloaded

K = TypeVar("K", bound=Hashable)

OWNERS_MIN = 4
"""One owner has at most a quarter: of what there is, and of the queue."""

SLOW_SECONDS = 30.0
"""How long a client that is waited for keeps others waiting."""

WAIT_SECONDS = 30.0
"""How long a request waits for what it asks for."""

LOOK_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Turn(Generic[K]):
    share: "Share[K]"
    size: int
    comes: "asyncio.Future[None]"


class Share(Generic[K]):
    """What one request holds."""

    def __init__(self, room: "Room[K]", owner: K, let_go: Callable[[], None]) -> None:
        self._room = room
        self._let_go = let_go
        self.owner = owner
        self.held = 0
        self.waits_since: float | None = None
        self.is_leaving = False

    async def take(self, size: int) -> None:
        """Take some, and wait for the client from now on. Raises `Overloaded`."""
        await self._room.take(self, size)

    def give_back(self, size: int) -> None:
        """Give some of it back."""
        self._room.give_back(self, size)

    def wait_for_client(self) -> None:
        """Note that the client has done its part, and has to do the next one now."""
        self.waits_since = time.monotonic()

    def work(self) -> None:
        """Note that it is not the client who is waited for."""
        self.waits_since = None

    def excuse(self, seconds: float) -> None:
        """Do not count the next `seconds` as the client's, since it is not asked for anything."""
        if self.waits_since is not None:
            self.waits_since += seconds

    def leave(self) -> None:
        """Have the request give back all that it holds, soon."""
        self.is_leaving = True
        self._let_go()


class Room(Generic[K]):
    """Gives out `most` in all, to those who ask first; to one owner at most a quarter of it.

    While requests wait, those whose clients have been waited for longest, and for `SLOW_SECONDS` at
    least, are told to let go. At most `waiting_max` wait, and of one owner at most a quarter of
    that; one more, and one that has waited for `WAIT_SECONDS`, gets `Overloaded`. Those that wait
    only because their owner has its quarter do not count for the others. `what` completes the
    sentence "too many …".
    """

    def __init__(self, most: int, waiting_max: int, what: str) -> None:
        self._most = most
        self._waiting_max = waiting_max
        self._what = what
        self._turns: list[_Turn[K]] = []
        self._shares: set[Share[K]] = set()
        """Those that hold something."""
        self._of_owners: Counter[K] = Counter()
        self._looks_at = 0.0

    @property
    def held(self) -> int:
        """Return how much is held."""
        return self._of_owners.total()

    @contextmanager
    def share(self, owner: K, let_go: Callable[[], None]) -> Iterator[Share[K]]:
        """Yield the share of a request, which is given back at the end.

        `let_go` is called at most once, and has the context end soon.
        """
        share = Share(self, owner, let_go)
        try:
            yield share
        finally:
            self.give_back(share, share.held)

    async def take(self, share: Share[K], size: int) -> None:
        """See `Share.take`."""
        turn = _Turn(share, size, asyncio.get_running_loop().create_future())
        self._turns.append(turn)
        self._serve()
        if not turn.comes.done():
            await self._wait(turn)
        share.wait_for_client()

    def give_back(self, share: Share[K], size: int) -> None:
        """See `Share.give_back`. What was given back at the end is not given back again."""
        size = min(size, share.held)
        # Those that wait for this owner get behind those that wait for room: otherwise what one
        # lets go of for others would be taken by its owner's next one.
        fitting = {*self._fitting()}
        self._turns.sort(key=lambda turn: turn not in fitting)
        share.held -= size
        self._of_owners -= Counter({share.owner: size})
        if not share.held:
            self._shares.discard(share)
        self._serve()

    async def _wait(self, turn: _Turn[K]) -> None:
        too_many = Overloaded(f"too many {self._what}")
        try:
            of_owner = sum(one.share.owner == turn.share.owner for one in self._turns)
            waiting = sum(1 for _ in self._fitting())
            if waiting > self._waiting_max or of_owner > self._waiting_max // OWNERS_MIN:
                raise too_many
            async with asyncio.timeout(WAIT_SECONDS):
                while not turn.comes.done():
                    self._press()
                    await asyncio.wait({turn.comes}, timeout=LOOK_EVERY_SECONDS)
        except TimeoutError:
            if not turn.comes.done():
                raise too_many from None
        finally:
            if not turn.comes.done():
                self._turns.remove(turn)
                self._serve()

    def _serve(self) -> None:
        for turn in self._fitting():
            if self.held + turn.size > self._most:
                break  # smaller ones do not overtake it
            self._turns.remove(turn)
            turn.share.held += turn.size
            self._shares.add(turn.share)
            self._of_owners[turn.share.owner] += turn.size
            turn.comes.set_result(None)

    def _fitting(self) -> Iterator[_Turn[K]]:
        """Yield those who wait, in their order, unless their owner would have more than a quarter.

        These wait for their owner to let go of some, and keep nobody else waiting.
        """
        soon = Counter(self._of_owners)
        for turn in [*self._turns]:
            owner = turn.share.owner
            if soon[owner] + turn.size <= self._most // OWNERS_MIN:
                soon[owner] += turn.size
                yield turn

    def _press(self) -> None:
        """Tell those to let go whose clients are slow: as many as those need who wait."""
        if (now := time.monotonic()) < self._looks_at:
            return  # all who wait look: once for all of them is enough
        self._looks_at = now + LOOK_EVERY_SECONDS
        lacking = self.held + sum(turn.size for turn in self._fitting()) - self._most
        lacking -= sum(share.held for share in self._shares if share.is_leaving)
        slow_since = now - SLOW_SECONDS
        slow = sorted(
            (share.waits_since, id(share), share)
            for share in self._shares
            if not share.is_leaving
            and share.waits_since is not None
            and share.waits_since <= slow_since
        )
        for _, _, share in slow:
            if lacking <= 0:
                break
            lacking -= share.held
            share.leave()
