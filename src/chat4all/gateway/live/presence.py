"""Who is online, as far as somebody here wants to know.

Gateways tell each other on the feed how long ago they had a user, and only of users whom some
gateway asks about. That is the whole state each time: what is lost is told again.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import NamedTuple

from cachetools import LRUCache

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.slices import slices
from chat4all.domain.events import (
    PRESENCE_SEEN,
    LiveEvent,
    PresenceAsked,
    PresenceSeen,
)
from chat4all.domain.ids import Username
from chat4all.gateway.live.followers import Followers
from chat4all.gateway.live.turns import in_turns
from chat4all.ports.feed import Announcements, Decode
from chat4all.wire.events import MalformedEvent

OFFLINE_SECONDS = 45.0
"""A user is offline so long after the last connection has gone, or a gateway was last heard."""

ROUND_SECONDS = 15.0
"""How often gateways tell each other again: two of these may be lost."""

ASKED_SECONDS = 2.5 * ROUND_SECONDS
"""How long a question of another gateway counts."""

ANSWER_SECONDS = 1.0
"""So long after a question was announced, without an answer, nobody has a user."""

CERTAIN_SECONDS = 3 * ANSWER_SECONDS
"""Nobody is said to be offline for so long after the feed was silent, or took no question."""

GATHER_SECONDS = 0.05
"""What comes within so short a time is told together."""

NAMES_MAX = 1_000
"""Users of one event."""

EVENTS_MAX = 4
"""Events of one announcement: they are encoded in one turn of the event loop, and decoded too."""

ASKED_MAX = 50_000
"""Users whom other gateways ask about; of further ones they hear only while they ask anew."""

LEFT_MAX = 10_000
"""Users of whom is remembered when they left."""

_log = logging.getLogger(__name__)


class State(NamedTuple):
    """A user's presence; `seen_ago` is in seconds, None where it is not known."""

    is_online: bool
    seen_ago: float | None


class _Wanted:
    """A user whose presence is wanted here."""

    __slots__ = ("is_online", "seen_at", "since")

    def __init__(self, seen_at: float) -> None:
        self.since = inf
        """When the first question about this user had been announced."""
        self.seen_at = seen_at
        self.is_online: bool | None = None
        """None until it is known."""


class Presence:
    """Keeps the presence of the users who are wanted here, and answers for the users of this one.

    `announcements` None: there are no other gateways. `is_heard` says whether the feed is.
    `changed` is called for a user whose presence has become known, or is another now; for many in
    one turn of the event loop. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        followers: Followers,
        announcements: Announcements | None,
        is_heard: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._followers = followers
        self._announcements = announcements
        self._is_heard = is_heard
        self._clock = clock
        self.changed: Callable[[Username], None] = lambda _: None
        self._gateway = str(uuid.uuid4())
        self._wanted: dict[Username, _Wanted] = {}
        self._asked: dict[Username, float] = {}
        """Until when other gateways want to know of a user."""
        self._left: LRUCache[Username, float] = LRUCache(LEFT_MAX)
        """When users left whom this gateway had."""
        self._to_ask: set[Username] = set()
        self._ask_all = False
        """Whether to ask about everybody as if for the first time."""
        self._repeat_all = False
        """Whether to ask about everybody again, so that the questions are not forgotten."""
        self._to_tell: set[Username] = set()
        self._next_round = 0.0
        self._was_heard = announcements is None
        self._certain_from = -inf
        """Until then nobody is said to be offline."""
        self._announcing_since = inf
        outages = OutageLog(_log, "who is online is not told to other gateways", "it is told again")
        self._announcing = KeyedWork[str](self._announce, outages, at_once=1)
        followers.noticed = self._noticed

    def want(self, username: Username) -> None:
        """Keep a user's presence from now on; it may be known at once."""
        if username in self._wanted:
            return
        now = self._clock()
        self._wanted[username] = _Wanted(self._left.get(username, -inf))
        if self._announcements is not None:
            self._to_ask.add(username)
            self._announcing.mark("")
        self._look(username, now)

    def forget(self, username: Username) -> None:
        """Keep a user's presence no longer."""
        self._wanted.pop(username, None)
        self._to_ask.discard(username)

    def state(self, username: Username) -> State | None:
        """Return the presence of a user who is wanted, once it is known."""
        wanted = self._wanted.get(username)
        if wanted is None or wanted.is_online is None:
            return None
        ago = self._clock() - wanted.seen_at
        return State(wanted.is_online, None if ago == inf else ago)

    def announced(self, key: str, decode: Decode) -> None:
        """Handle what another gateway announced; see `FeedListener`."""
        if key.endswith(self._gateway) or (key.startswith(PRESENCE_SEEN) and not self._wanted):
            return
        try:
            events = decode()
        except MalformedEvent as error:
            _log.error("an announcement cannot be read", extra={"cause": str(error)})
            return
        for event in events:
            if isinstance(event, PresenceAsked):
                self._take_question(event)
            elif isinstance(event, PresenceSeen):
                self._take_answer(event)

    def lost(self) -> None:
        """Ask anew: announcements are missing; see `FeedListener`."""
        if self._announcements is not None:
            self._certain_from = inf
            self._ask_all = True
            self._announcing.mark("")

    async def tick(self) -> None:
        """Find who is offline by now, and tell other gateways what is due; once a second."""
        now = self._clock()
        if self._announcements is not None:
            was_heard, self._was_heard = self._was_heard, self._is_heard()
            if self._was_heard and not was_heard:
                self.lost()
            if now >= self._next_round:
                self._next_round = now + ROUND_SECONDS
                await self._begin_round(now)
            if now - self._announcing_since > ROUND_SECONDS:
                self._certain_from = inf  # other gateways may forget the questions
            if self._to_ask or self._to_tell or self._ask_all or self._repeat_all:
                self._announcing.mark("")  # it may have failed
        async for username in in_turns(list(self._wanted)):
            self._look(username, now)

    async def close(self) -> None:
        """Tell nothing more."""
        await self._announcing.close()

    def _noticed(self, username: Username) -> None:
        now = self._clock()
        if username in self._followers.users:
            self._left.pop(username, None)
        else:
            self._left[username] = now
            if username in self._wanted:
                self._wanted[username].seen_at = now
        self._look(username, now)
        if username in self._asked:
            self._tell([username])

    def _look(self, username: Username, now: float) -> None:
        """See whether a user's presence is another now, if it is wanted."""
        wanted = self._wanted.get(username)
        if wanted is None:
            return
        if username in self._followers.users:
            wanted.seen_at = now
        is_online = now - wanted.seen_at < OFFLINE_SECONDS
        if is_online == wanted.is_online or not (is_online or self._is_certain(wanted, now)):
            return
        wanted.is_online = is_online
        self.changed(username)

    def _is_certain(self, wanted: _Wanted, now: float) -> bool:
        """Return whether another gateway that has this user would have been heard by now."""
        if self._announcements is None:
            return True
        return self._was_heard and now >= max(self._certain_from, wanted.since + ANSWER_SECONDS)

    def _take_question(self, asked: PresenceAsked) -> None:
        until = self._clock() + ASKED_SECONDS
        known = []
        for username in asked.usernames:
            if asked.is_new or username not in self._asked:
                known.append(username)
            if username in self._asked or len(self._asked) < ASKED_MAX:
                self._asked[username] = until
        self._tell(one for one in known if one in self._followers.users or one in self._left)

    def _take_answer(self, answer: PresenceSeen) -> None:
        now = self._clock()
        for username, milliseconds in answer.seen_ms.items():
            wanted = self._wanted.get(username)
            if wanted is not None:
                wanted.seen_at = max(wanted.seen_at, now - max(0, milliseconds) / 1000)
                self._look(username, now)

    async def _begin_round(self, now: float) -> None:
        self._repeat_all = bool(self._wanted)
        async for username in in_turns(list(self._asked)):
            if self._asked[username] <= now:
                del self._asked[username]
            elif username in self._followers.users:
                self._to_tell.add(username)

    def _tell(self, usernames: Iterable[Username]) -> None:
        self._to_tell.update(usernames)
        if self._to_tell:
            self._announcing.mark("")

    async def _announce(self, _: str) -> None:
        """Announce what is to be told. Raises `Unavailable`; it is to be told still."""
        await asyncio.sleep(GATHER_SECONDS)
        ask_all, repeat_all = self._ask_all, self._repeat_all
        new = list(self._wanted if ask_all else self._to_ask)
        again = list(self._wanted) if repeat_all and not ask_all else []
        told = list(self._to_tell)
        self._ask_all = self._repeat_all = False
        self._to_ask, self._to_tell = set(), set()
        self._announcing_since = self._clock()
        try:
            for names in slices(new, EVENTS_MAX * NAMES_MAX):
                await self._ask(names)
            for names in slices(again, EVENTS_MAX * NAMES_MAX):
                await self._send(self._questions(names, is_new=False))
            for names in slices(told, EVENTS_MAX * NAMES_MAX):
                await self._send(self._answers(names))
        except Exception:
            self._certain_from = inf
            self._ask_all |= ask_all
            self._repeat_all |= repeat_all
            self._to_ask.update(one for one in new if one in self._wanted)
            self._to_tell.update(told)
            raise
        finally:
            self._announcing_since = inf
        if self._certain_from == inf and not (self._ask_all or self._repeat_all):
            self._certain_from = self._clock() + CERTAIN_SECONDS

    async def _ask(self, usernames: Sequence[Username]) -> None:
        """Ask about users of whom nothing is known; the answers are waited for from then on."""
        asked = [wanted for one in usernames if (wanted := self._wanted.get(one)) is not None]
        await self._send(self._questions(usernames, is_new=True))
        now = self._clock()
        for wanted in asked:
            wanted.since = min(wanted.since, now)

    async def _send(self, events: list[LiveEvent]) -> None:
        if events and self._announcements is not None:
            await self._announcements.announce(events)

    def _questions(self, usernames: Sequence[Username], *, is_new: bool) -> list[LiveEvent]:
        names = [one for one in usernames if one in self._wanted]
        return [PresenceAsked(self._gateway, some, is_new) for some in slices(names, NAMES_MAX)]

    def _answers(self, usernames: Sequence[Username]) -> list[LiveEvent]:
        now = self._clock()
        seen = [(one, ms) for one in usernames if (ms := self._seen_ms(one, now)) is not None]
        return [PresenceSeen(self._gateway, dict(some)) for some in slices(seen, NAMES_MAX)]

    def _seen_ms(self, username: Username, now: float) -> int | None:
        if username in self._followers.users:
            return 0
        left = self._left.get(username)
        return None if left is None else max(0, int((now - left) * 1000))
