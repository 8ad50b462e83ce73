"""The hub of a gateway: the live feed's one listener, and where connections meet conversations."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import assert_never

from chat4all.concurrency.keyed import KeyedWork
from chat4all.concurrency.outages import OutageLog
from chat4all.concurrency.slices import slices
from chat4all.domain.events import (
    DELIVERED,
    TYPING,
    LiveEvent,
    MarkerMoved,
    MembershipsChanged,
    MessageChanged,
    MessageStored,
    PresenceAsked,
    PresenceSeen,
    Typing,
)
from chat4all.domain.ids import ConversationId
from chat4all.domain.messages import Activity
from chat4all.domain.position import START, Position
from chat4all.gateway.live.comparing import ReadBy, lost_markers
from chat4all.gateway.live.followers import Followed, Follower, Followers, Stage
from chat4all.ports.feed import Decode
from chat4all.usecases.versions import ConversationVersions
from chat4all.wire.events import MalformedEvent

DELIVERIES_MAX = 16
"""Conversations that are delivered at once; each may read the store."""

RETRY_SECONDS = 1.0

COMPARE_EVERY_SECONDS = 1.0
COMPARED_IN = 30
"""Rounds in which every conversation that is followed is compared with the store once."""

COMPARED_IN_SILENCE = 3
COMPARED_MAX = 500
"""Conversations of one question to the store."""

_log = logging.getLogger(__name__)


class Hub:
    """Ends cached versions, and delivers to those who follow; never waits for a slow one.

    `deliver` is `Delivery.deliver`; `activity` and `read_by` are those of
    `ports.summaries.ConversationSummaries`.
    """

    def __init__(
        self,
        versions: ConversationVersions,
        followers: Followers,
        deliver: Callable[[ConversationId], Awaitable[None]],
        activity: Callable[
            [Sequence[ConversationId]], Awaitable[Mapping[ConversationId, Activity]]
        ],
        read_by: ReadBy,
    ) -> None:
        self._versions = versions
        self._followers = followers
        self._activity = activity
        self._read_by = read_by
        outages = OutageLog(_log, "live delivery waits", "live delivery goes on")
        self._work = KeyedWork(deliver, outages, at_once=DELIVERIES_MAX, rest_seconds=RETRY_SECONDS)
        self._to_compare: list[ConversationId] = []
        self._with_markers: set[ConversationId] = set()

    def announced(self, key: str, decode: Decode) -> None:
        """Handle an announcement; one that nobody follows is not decoded. See `FeedListener`."""
        self._versions.supersede(key)
        followed = self._followers.get(key.removeprefix(TYPING).removeprefix(DELIVERED))
        if followed is None:
            return
        try:
            events = decode()
        except MalformedEvent as error:
            # Its events are lost: the store has them.
            _log.error("an announcement cannot be read", extra={"cause": str(error)})
            followed.missed()
        else:
            _put(events, followed)
            if followed.has_markers():
                self._with_markers.add(followed.conversation)
        self._work.mark(followed.conversation)

    def lost(self) -> None:
        """Read everything that is followed from the store; see `FeedListener`."""
        self._versions.supersede_all()
        for followed in self._followers.conversations():
            followed.missed()
            self._work.mark(followed.conversation)

    def alive(self, seconds_ago: float = 0.0) -> None:
        """Note that the feed is heard; after a silence, read the store. See `FeedListener`."""
        was_heard = self._versions.is_heard()
        self._versions.heard(seconds_ago)
        if not was_heard and self._versions.is_heard():
            self.lost()

    @contextmanager
    def held(self, conversation: ConversationId) -> Iterator[Followed]:
        """Keep the head of a conversation from here on, to attach somebody to it."""
        with self._followers.held(conversation) as followed:
            yield followed

    def attach(self, follower: Follower, followed: Followed, position: Position) -> None:
        """Deliver a held conversation to a follower that has everything up to a position."""
        if follower.stage is Stage.GONE or not follower.socket.is_open:
            return
        self._followers.attach(follower, followed, position)
        if not position.covers(followed.head):
            self.deliver(followed.conversation)
        followed.raise_head(position)

    def head(self, conversation: ConversationId) -> Position:
        """Return the newest numbers that are known of a conversation that is followed."""
        followed = self._followers.get(conversation)
        return START if followed is None else followed.head

    def raise_head(self, followed: Followed, stored: Position) -> bool:
        """Note the numbers that the store has; say whether any of them was not known.

        Then an announcement is late or lost, and pages that are kept may show what was deleted.
        """
        if followed.head.covers(stored):
            return False
        self._versions.supersede(followed.conversation)
        followed.raise_head(stored)
        return True

    def told_markers(self, follower: Follower, markers: Mapping[str, int]) -> None:
        """Note the markers that a connection is told; see `Followers.told_markers`."""
        self._followers.told_markers(follower, markers)

    def deliver(self, conversation: ConversationId) -> None:
        """Deliver what a conversation has to deliver."""
        self._work.mark(conversation)

    async def compare(self) -> None:
        """Compare a part of what is followed with the store: an announcement may have been lost.

        While the feed is silent everything is compared every few seconds, else twice a minute.
        """
        self.deliver_what_waits()
        all_followed = self._followers.conversations()
        if not self._to_compare:
            self._to_compare = [followed.conversation for followed in all_followed]
        rounds = COMPARED_IN if self._versions.is_heard() else COMPARED_IN_SILENCE
        share = -(-len(all_followed) // rounds)
        part, self._to_compare = self._to_compare[:share], self._to_compare[share:]
        for asked in slices(part, COMPARED_MAX):
            for conversation, activity in (await self._activity(asked)).items():
                followed_now = self._followers.get(conversation)
                stored = Position(activity.seq, activity.change)
                if followed_now is not None and self.raise_head(followed_now, stored):
                    self.deliver(conversation)
            for followed_now, username, seq in await lost_markers(
                self._followers, asked, self._read_by
            ):
                followed_now.put_marker(username, seq)
                self._with_markers.add(followed_now.conversation)
                self.deliver(followed_now.conversation)

    def deliver_what_waits(self) -> None:
        """Deliver markers that came too soon after others, and what a socket had no room for."""
        for one in self._followers.conversations():
            if one.is_lagged_behind:
                self.deliver(one.conversation)
        followed = map(self._followers.get, self._with_markers)
        self._with_markers = {one.conversation for one in followed if one and one.has_markers()}
        for conversation in self._with_markers:
            self.deliver(conversation)

    async def close(self) -> None:
        """Deliver nothing more."""
        await self._work.close()


def _put(events: Sequence[LiveEvent], followed: Followed) -> None:
    """Note what was announced together."""
    if not events:
        followed.missed()  # its key alone was announced
    messages = [event.message for event in events if isinstance(event, MessageStored)]
    followed.put(messages)
    sent = {(message.sender_id, message.seq) for message in messages}
    for event in events:
        match event:
            case MessageStored():
                pass  # noted together, above
            case MessageChanged(seq=seq, change=change):
                followed.put_change(change, seq)
            case PresenceAsked() | PresenceSeen() | MembershipsChanged():
                pass  # of no conversation: see `hearing`
            case MarkerMoved(marker):
                if (marker.username, marker.read_seq) in sent:
                    # One's own message says that one has read up to it.
                    followed.told_marker(marker.username, marker.read_seq)
                elif marker.read_seq:
                    followed.put_marker(marker.username, marker.read_seq)
                # What was read was received: that is not told twice.
                if marker.delivered_seq > marker.read_seq:
                    followed.put_delivered(marker.username, marker.delivered_seq)
            case Typing(username=username):
                followed.put_typing(username)
            case _:
                assert_never(event)
