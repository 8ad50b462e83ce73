"""Clients that watch who is online: only users who share a conversation with them.

That is looked at when they say whom they watch, when members change, and before each frame.
"""

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.errors import Overloaded, Unavailable
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.ids import username as username_of
from chat4all.domain.people import Role
from chat4all.domain.times import format_milliseconds
from chat4all.gateway.live.followers import Follower, Stage, discard
from chat4all.gateway.live.membership import TRIES, PresentMembers
from chat4all.gateway.live.presence import Presence, State
from chat4all.gateway.live.turns import in_turns
from chat4all.ports.directory import Memberships
from chat4all.ports.outbox import OutboxEntry, Subject
from chat4all.wire.frames import PresenceFrame

WATCHES_MAX = 200_000
"""Users of all watch lists of a gateway together, each as often as it is in one."""

USER_WATCHES_MAX = 2_000
"""The same of one user's connections: a user may not leave nothing for the others."""

AT_ONCE = 16
RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class WatchList:
    """Whom one connection watches."""

    __slots__ = ("due", "follower", "must_share", "told", "usernames", "via")

    def __init__(self, follower: Follower, usernames: frozenset[Username]) -> None:
        self.follower = follower
        self.usernames = usernames
        self.via: dict[Username, ConversationId] = {}
        """By which conversation each of those may be watched who may."""
        self.told: dict[Username, bool] = {}
        """Whether each was online, as was last told."""
        self.due: set[Username] = set()
        """Of whom something may have to be told."""
        self.must_share = True
        """Whether it has to be looked up anew who shares a conversation."""


class Watching:
    """The watch lists of this gateway's connections."""

    def __init__(
        self, presence: Presence, members: PresentMembers, memberships: Memberships
    ) -> None:
        self.presence = presence
        self._members = members
        self._memberships = memberships
        self._watches: dict[Follower, WatchList] = {}
        self._of_user: dict[Username, set[WatchList]] = {}
        """By who watches."""
        self._watchers: dict[Username, set[WatchList]] = {}
        """By who is watched."""
        self._news: set[Username] = set()
        """Whose presence has changed, and whose watchers do not know it yet."""
        self._is_lost = False
        """Whether anybody's conversations may have changed."""
        self._size = 0
        outages = OutageLog(_log, "who is online is not told", "who is online is told again")
        self._work = KeyedWork(self._do, outages, at_once=AT_ONCE, rest_seconds=RETRY_SECONDS)
        # One at a time, for everybody: a name may have as many watchers as there are connections.
        self._handing = KeyedWork[str](self._hand_on, outages, at_once=1)
        presence.changed = self._changed

    def watch(self, follower: Follower, names: Iterable[str]) -> None:
        """Let a connection watch these users in place of others, and tell it their presence soon.

        Raises `Overloaded` when too many are watched; it watches the former ones then.
        """
        usernames = frozenset(_usernames(names))
        if follower.stage is Stage.GONE or not follower.socket.is_open:
            return
        self._check_room(follower, len(usernames))
        self.forget(follower)
        if not usernames:
            return
        # Members who change from here on are heard of; who shares a conversation is asked then.
        watch = self._watches[follower] = WatchList(follower, usernames)
        self._of_user.setdefault(follower.username, set()).add(watch)
        self._size += len(usernames)
        self._work.mark(watch)

    def forget(self, follower: Follower) -> None:
        """Let a connection watch nobody."""
        watch = self._watches.pop(follower, None)
        if watch is None:
            return
        self._size -= len(watch.usernames)
        self._work.forget(watch)
        discard(self._of_user, follower.username, watch)
        for username in tuple(watch.via):
            self._let_no_longer(watch, username)

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """See `ports.outbox.ChangeListener`."""
        if self._watches:
            for entry in entries:
                if entry.subject is Subject.MEMBERS:
                    self._work.mark(ConversationId(entry.key))

    def all_changed(self) -> None:
        """See `ports.outbox.ChangeListener`."""
        self._is_lost = True
        self._handing.mark("")

    async def tick(self) -> None:
        """Do what is due once a second."""
        await self.presence.tick()
        async for watch in in_turns(self._current()):
            if watch.due or watch.must_share:
                self._work.mark(watch)  # there was no room for it, or members have changed

    async def close(self) -> None:
        """Tell nothing more."""
        await self._handing.close()
        await self._work.close()
        await self.presence.close()

    def _check_room(self, follower: Follower, size: int) -> None:
        """Raise `Overloaded` where a connection may not watch so many."""
        if (former := self._watches.get(follower)) is not None:
            size -= len(former.usernames)
        of_user = sum(len(one.usernames) for one in self._of_user.get(follower.username, ()))
        if size > 0 and of_user + size > USER_WATCHES_MAX:
            raise Overloaded("too many users are watched by one user's connections")
        if size > 0 and self._size + size > WATCHES_MAX:
            raise Overloaded("too many users are watched")

    def _changed(self, username: Username) -> None:
        self._news.add(username)
        self._handing.mark("")

    async def _hand_on(self, _: str) -> None:
        """Let watchers look at what has changed."""
        if self._is_lost:
            self._is_lost = False
            async for watch in in_turns(self._current()):
                watch.must_share = True
                self._work.mark(watch)
        async for watch, username in in_turns(self._take_news()):
            if username in watch.via:
                watch.due.add(username)
                self._work.mark(watch)

    def _take_news(self) -> Iterator[tuple[WatchList, Username]]:
        while self._news:
            username = self._news.pop()
            for watch in tuple(self._watchers.get(username, ())):
                yield watch, username

    def _current(self) -> Iterator[WatchList]:
        """Yield the watches there are now, without those that have ended meanwhile."""
        return (one for one in tuple(self._watches.values()) if self._is_current(one))

    def _let(self, watch: WatchList, username: Username, via: ConversationId) -> None:
        """Let a user be watched, who shares a conversation with the watcher."""
        watch.via[username] = via
        self._watchers.setdefault(username, set()).add(watch)
        self.presence.want(username)
        watch.due.add(username)
        self._work.mark(watch)

    def _let_no_longer(self, watch: WatchList, username: Username) -> None:
        del watch.via[username]
        watch.told.pop(username, None)
        watch.due.discard(username)
        discard(self._watchers, username, watch)
        if username not in self._watchers:
            self.presence.forget(username)
            self._news.discard(username)

    async def _do(self, what: "WatchList | ConversationId") -> None:
        if isinstance(what, WatchList):
            await self._tell(what)
        else:
            await self._look_at_members(what)

    async def _look_at_members(self, conversation: ConversationId) -> None:
        """Let members be watched who were not before; who may no longer be is found in time."""
        members = await self._members.of(conversation)
        async for watch, username in in_turns(self._watched_by(members)):
            if username in members and username not in watch.via and self._is_current(watch):
                self._let(watch, username, conversation)

    def _watched_by(self, usernames: Collection[Username]) -> Iterator[tuple[WatchList, Username]]:
        for watcher in tuple(name for name in usernames if name in self._of_user):
            for watch in tuple(self._of_user.get(watcher, ())):
                for username in watch.usernames:
                    yield watch, username

    async def _tell(self, watch: WatchList) -> None:
        """Tell a connection what is due. Raises `Unavailable`; it stays due."""
        if watch.must_share:
            await self._find_shared(watch)
        due = [username for username in tuple(watch.due) if self._is_news(watch, username)]
        members = await self._members_of({watch.via[username] for username in due})
        # Nothing is awaited between this look and the write.
        self._write(watch, [one for one in due if self._may_be_told(watch, one, members)])

    def _is_news(self, watch: WatchList, username: Username) -> bool:
        state = self.presence.state(username)
        if state is not None and state.is_online != watch.told.get(username):
            return True
        watch.due.discard(username)  # it is due again once there is something to tell
        return False

    async def _members_of(
        self, conversations: Collection[ConversationId]
    ) -> dict[ConversationId, Mapping[Username, Role]]:
        """Return the members of several conversations, as they are at one moment."""
        found: dict[ConversationId, Mapping[Username, Role]] = {}
        await self._members.prepare(conversations)
        for _ in range(TRIES):
            again = {one: await self._members.of(one) for one in conversations}
            # Identical ones were kept, and so returned at once: nothing has run in between.
            if all(members is found.get(one) for one, members in again.items()):
                return again
            found = again
        raise Unavailable("the members of conversations change too often to be read")

    async def _find_shared(self, watch: WatchList) -> None:
        """Let those users be watched who share a conversation with the watcher."""
        others = [one for one in watch.usernames if one not in watch.via]
        watch.must_share = False
        try:
            shared = await self._memberships.shared(watch.follower.username, others)
        except BaseException:
            watch.must_share = True
            raise
        if self._is_current(watch):
            for username, via in shared.items():
                if username not in watch.via:
                    self._let(watch, username, via)

    def _may_be_told(
        self,
        watch: WatchList,
        username: Username,
        members: Mapping[ConversationId, Mapping[Username, Role]],
    ) -> bool:
        """Return whether two users share one of these conversations now."""
        via = watch.via.get(username)
        if via is None or via not in members:
            return False  # it is watched no longer, or by another conversation: it is due again
        if username in members[via] and watch.follower.username in members[via]:
            return True
        self._let_no_longer(watch, username)
        watch.must_share = True  # they may share another one; it is looked up at the next tick
        return False

    def _write(self, watch: WatchList, usernames: Iterable[Username]) -> None:
        """Write what is due of these users, all at once."""
        told: dict[Username, bool] = {}
        frames = []
        for username in usernames:
            if (state := self.presence.state(username)) is not None:
                told[username] = state.is_online
                frames.append(watch.follower.wrapped(_frame(username, state)))
        # It stays due where there is no room for it.
        if frames and watch.follower.socket.write_passing(b"".join(frames)):
            watch.told |= told
            watch.due -= told.keys()

    def _is_current(self, watch: WatchList) -> bool:
        return self._watches.get(watch.follower) is watch


def _frame(username: Username, state: State) -> PresenceFrame:
    if state.is_online:
        return PresenceFrame(username, "online")
    ago = state.seen_ago
    at = None if ago is None else format_milliseconds(int((time.time() - ago) * 1000))
    return PresenceFrame(username, "offline", at)


def _usernames(names: Iterable[str]) -> Iterable[Username]:
    for name in names:
        try:
            yield username_of(name)
        except ValueError:
            continue  # nobody has it
