"""Members who come and go while they are connected, and sessions that end.

What the outbox says is a hint to ask the directory again, never the answer (EXACTNESS 20f).
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import TypeVar

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.domain.errors import Unavailable
from chat4all.domain.ids import ConversationId, SessionId, Username
from chat4all.gateway.live.codes import CloseCode
from chat4all.gateway.live.delivering import Delivery
from chat4all.gateway.live.followers import Follower, Followers, Stage
from chat4all.gateway.live.hub import Hub
from chat4all.gateway.live.membership import PresentMembers
from chat4all.ports.directory import MEMBERS_ASKED_MAX, Memberships
from chat4all.ports.history import ChangedMessages
from chat4all.ports.outbox import OutboxEntry, Subject
from chat4all.ports.sessions import SESSIONS_ASKED_MAX, LiveSessions
from chat4all.wire.frames import ConversationFrame

AT_ONCE = 8
RETRY_SECONDS = 0.5
TRIES = 10

K = TypeVar("K")

_log = logging.getLogger(__name__)


class Admission:
    """Attaches new members, detaches former ones, and closes what has no session any more."""

    def __init__(
        self,
        hub: Hub,
        followers: Followers,
        delivery: Delivery,
        members: PresentMembers,
        memberships: Memberships,
        changed: ChangedMessages,
        sessions: LiveSessions,
    ) -> None:
        self._hub = hub
        self._followers = followers
        self._delivery = delivery
        self._members = members
        self._memberships = memberships
        self._changed = changed
        self._sessions = sessions
        outages = OutageLog(
            _log, "live connections wait for the directory", "live connections go on"
        )
        self._work = KeyedWork(self._check, outages, at_once=AT_ONCE, rest_seconds=RETRY_SECONDS)
        # Of their own: they do not wait behind thousands of conversations.
        self._session_work = KeyedWork(
            self._check_session, outages, at_once=AT_ONCE, rest_seconds=RETRY_SECONDS
        )
        self._lost_conversations: dict[ConversationId, None] = {}
        """Conversations to look at again, because anything may have changed."""
        self._are_users_lost = False
        """Whether what users are in is to be looked at again, for the same reason."""
        self._lost_sessions: dict[SessionId, None] = {}
        self._lost_work = KeyedWork[Subject](
            self._look_at_lost, outages, at_once=2, rest_seconds=RETRY_SECONDS
        )

    def changed(self, entries: Sequence[OutboxEntry]) -> None:
        """See `ports.outbox.ChangeListener`."""
        if not self._followers.users:
            return
        for entry in entries:
            if entry.subject is Subject.MEMBERS:
                if (followed := self._followers.get(entry.key)) is not None:
                    followed.changed()
                self._look_at(ConversationId(entry.key))
            elif entry.subject is Subject.SESSION and entry.key in self._followers.sessions:
                self._session_work.mark(SessionId(entry.key))

    def all_changed(self) -> None:
        """See `ports.outbox.ChangeListener`."""
        if not self._followers.users:
            return
        for followed in self._followers.conversations():
            followed.changed()
            self._lost_conversations[followed.conversation] = None
        self._are_users_lost = True
        self._lost_sessions.update(dict.fromkeys(self._followers.sessions))
        self._lost_work.mark(Subject.MEMBERS)
        self._lost_work.mark(Subject.SESSION)

    async def admit(self, follower: Follower, conversation: ConversationId) -> None:
        """Let a follower follow a conversation from now on, if its user is a member of it."""
        with self._hub.held(conversation) as followed:
            for _ in range(TRIES):
                version = followed.members_version
                members = await self._members.of(conversation)
                if follower.username not in members or conversation in follower.conversations:
                    return
                at = await self._changed.position(conversation)
                # Nothing is awaited from here on: what changed meanwhile is seen now, or later.
                if version == followed.members_version:
                    if conversation not in follower.conversations:
                        follower.say(ConversationFrame(conversation, "added", str(at)), at)
                        self._hub.attach(follower, followed, at)
                    return
        raise Unavailable("the members of a conversation change too often to be read")

    async def close(self) -> None:
        """Check nothing more."""
        await self._lost_work.close()
        await self._work.close()
        await self._session_work.close()

    async def _look_at_lost(self, what: Subject) -> None:
        """Look at everything again, in parts: alone each would be a question.

        Raises `Unavailable`; what is left stays noted.
        """
        if what is Subject.SESSION:
            prepare, mark = self._sessions.get_each, self._session_work.mark
            await _in_parts(self._lost_sessions, SESSIONS_ASKED_MAX, prepare, mark)
            return
        await _in_parts(
            self._lost_conversations, MEMBERS_ASKED_MAX, self._members.prepare, self._look_at
        )
        if self._are_users_lost:
            self._are_users_lost = False
            for username in self._followers.users:
                self._work.mark((Subject.USER, username))

    def _look_at(self, conversation: ConversationId) -> None:
        """Let those who follow a conversation, and its members, be compared soon."""
        if self._followers.get(conversation) is not None:
            self._hub.deliver(conversation)
        self._work.mark((Subject.MEMBERS, conversation))

    async def _check(self, what: tuple[Subject, str]) -> None:
        subject, key = what
        if subject is Subject.MEMBERS:
            await self._check_members(ConversationId(key))
        else:
            username = Username(key)
            for joined in await self._memberships.of_user(username):
                await self._admit_users(joined.conversation_id, [username])

    async def _check_members(self, conversation: ConversationId) -> None:
        members = await self._members.of(conversation)
        followed = self._followers.get(conversation)
        for follower in tuple(followed.positions) if followed is not None else ():
            if follower.username not in members:
                self._delivery.remove(follower, conversation)
        await self._admit_users(conversation, [*(members.keys() & self._followers.users.keys())])

    async def _admit_users(
        self, conversation: ConversationId, usernames: Sequence[Username]
    ) -> None:
        for username in usernames:
            for follower in tuple(self._followers.users.get(username, ())):
                if conversation in follower.conversations or follower.only is not None:
                    continue  # a stream ends with its user's membership
                if follower.stage is Stage.FOLLOWING:
                    await self.admit(follower, conversation)
                elif follower.stage is Stage.RESUMING:
                    follower.joined.add(conversation)

    async def _check_session(self, session: SessionId) -> None:
        stored = await self._sessions.get(session)
        if stored is None:
            for follower in tuple(self._followers.sessions.get(session, ())):
                follower.socket.close(CloseCode.NOT_SIGNED_IN, "this session has ended")


async def _in_parts(
    lost: dict[K, None],
    size: int,
    prepare: Callable[[list[K]], Awaitable[object]],
    look_at: Callable[[K], None],
) -> None:
    """Prepare so many at once, and then look at each of them, until none is left."""
    while lost:
        part = [*islice(lost, size)]
        await prepare(part)
        for one in part:
            del lost[one]
            look_at(one)
