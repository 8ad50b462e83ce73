"""Which read markers were not told: found by comparing with the store (EXACTNESS 20e)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from chat4all.concurrency.slices import slices
from chat4all.domain.ids import ConversationId, Username
from chat4all.gateway.live.followers import Followed, Followers

ReadBy: TypeAlias = Callable[
    [Mapping[ConversationId, Sequence[Username]]],
    Awaitable[Mapping[ConversationId, Mapping[Username, int]]],
]
"""`ports.summaries.ConversationSummaries.read_by`."""


ASKED_MAX = 50
"""Conversations of one question: some stores read each by itself, and others wait behind them."""


class LostMarker(NamedTuple):
    """How far a user has read, which not all connections of that user were told."""

    followed: Followed
    username: Username
    seq: int


async def lost_markers(
    followers: Followers, conversations: Sequence[ConversationId], read_by: ReadBy
) -> Sequence[LostMarker]:
    """Return the users' own markers that the store has, and their connections here have not.

    None is beyond the head: later comparisons find the rest.
    """
    found: dict[ConversationId, Mapping[Username, int]] = {}
    for asked in slices(conversations, ASKED_MAX):
        readers = {
            one: [*followed.markers_told]
            for one in asked
            if (followed := followers.get(one)) is not None and followed.head.seq
        }
        if readers:
            found.update(await read_by(readers))
    lost = []
    for conversation, read in found.items():
        followed = followers.get(conversation)
        if followed is None:
            continue
        for username, stored in read.items():
            seq = min(stored, followed.head.seq)
            if seq > followed.markers_told.get(username, seq):
                lost.append(LostMarker(followed, username, seq))
    return lost
