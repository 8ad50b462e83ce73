"""The newest messages of many conversations, for lists."""

from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from chat4all.adapters.cassandra.keys import bucket_of
from chat4all.adapters.cassandra.part import Part
from chat4all.adapters.cassandra.session import CassandraSession, together
from chat4all.concurrency.slices import slices
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Activity, Overview
from chat4all.domain.times import parse_milliseconds
from chat4all.ports.summaries import MentionsQuery, OverviewQuery
from chat4all.wire.payloads import names_in

HEADS_PER_REQUEST = 20
"""Heads read in one request; the coordinator reads each of them."""

READERS_PER_REQUEST = 100
"""Readers of one conversation whose markers are read in one request."""

_ACTIVITY = (
    "SELECT conversation_id, seq, order_ms, toUnixTimestamp(created_at), change "
    "FROM conversation_heads "
    "WHERE conversation_id IN ?"
)
_UPGRADED = "SELECT toUnixTimestamp(applied_at) FROM schema_migrations WHERE version = ?"
_ORDERED_SINCE = 5

_READ_BY = "SELECT username, read_seq FROM read_markers WHERE conversation_id = ? AND username IN ?"
_DELIVERED_TO = _READ_BY.replace("read_seq", "delivered_seq, read_seq")
_MENTIONS = (
    "SELECT seq, names FROM mentions "
    "WHERE conversation_id = ? AND bucket = ? AND seq >= ? AND seq <= ? ORDER BY seq ASC"
)

_Readers: TypeAlias = tuple[ConversationId, Sequence[Username]]


class CassandraSummaries(Part):
    """`ports.summaries.ConversationSummaries`: all requests of a call run at once."""

    def __init__(self, session: CassandraSession) -> None:
        super().__init__(session)
        self._upgraded_ms: int | None = None

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """Return the newest messages' numbers and places; see `ports.summaries`."""
        keys = [UUID(conversation) for conversation in conversations]
        answers = await together(
            self._session.run(_ACTIVITY, (some,)) for some in slices(keys, HEADS_PER_REQUEST)
        )
        heads = {
            ConversationId(str(key)): (seq, order_ms, sent_ms, change or 0)
            for rows in answers
            for key, seq, order_ms, sent_ms, change in rows
            if seq is not None
        }
        activity = {
            key: Activity(seq, order_ms, change)
            for key, (seq, order_ms, _, change) in heads.items()
            if order_ms is not None
        }
        earlier = {
            key: (seq, sent_ms, change)
            for key, (seq, _, sent_ms, change) in heads.items()
            if key not in activity
        }
        return activity | await self._of_earlier_releases(earlier)

    async def _of_earlier_releases(
        self, heads: Mapping[ConversationId, tuple[int, int | None, int]]
    ) -> dict[ConversationId, Activity]:
        """Order heads by when their messages were sent: at the latest, at this release's upgrade.

        What a sender says is not believed beyond that: it may be a time that is yet to come.
        """
        if not heads:
            return {}
        upgraded_ms = await self._upgraded()
        # The first releases did not write even that.
        untimed = [(key, seq) for key, (seq, sent_ms, _) in heads.items() if sent_ms is None]
        messages = await together(self._with_numbers(key, [seq]) for key, seq in untimed)
        of_messages = {
            key: parse_milliseconds(message[0].created_at) if message else 0
            for (key, _), message in zip(untimed, messages, strict=True)
        }
        return {
            key: Activity(
                seq, min(of_messages[key] if sent_ms is None else sent_ms, upgraded_ms), change
            )
            for key, (seq, sent_ms, change) in heads.items()
        }

    async def _upgraded(self) -> int:
        if self._upgraded_ms is None:
            rows = await self._session.run(_UPGRADED, (_ORDERED_SINCE,))
            self._upgraded_ms = int(rows[0][0]) if rows else 0
        return self._upgraded_ms

    async def overviews(
        self, queries: Mapping[ConversationId, OverviewQuery]
    ) -> Mapping[ConversationId, Overview]:
        """Return what lists show; see `ports.summaries`."""
        last = [self._with_numbers(key, [query.seq]) for key, query in queries.items()]
        asked = _in_requests({key: query.readers for key, query in queries.items()})
        answers: Sequence[Any] = await together([*last, *self._ask(_READ_BY, asked)])
        messages, read = answers[: len(queries)], _markers(asked, answers[len(queries) :])
        return {
            key: Overview(
                message[0] if message else None,
                {name: min(seq, query.seq) for name, seq in read.get(key, {}).items()},
            )
            for (key, query), message in zip(queries.items(), messages, strict=True)
        }

    async def read_by(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        """Return how far these readers have read; see `ports.summaries`."""
        asked = _in_requests(readers)
        return _markers(asked, await together(self._ask(_READ_BY, asked)))

    async def delivered_to(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        """Return how far these readers have received; see `ports.summaries`."""
        asked = _in_requests(readers)
        return _markers(asked, await together(self._ask(_DELIVERED_TO, asked)))

    def _ask(self, query: str, asked: Sequence[_Readers]) -> list[Coroutine[Any, Any, Any]]:
        return [self._session.run(query, (UUID(key), list(some))) for key, some in asked]

    async def mentions(
        self, queries: Mapping[ConversationId, MentionsQuery]
    ) -> Mapping[ConversationId, Sequence[int]]:
        """Return which messages mention a user; see `ports.summaries`."""
        asked = [
            (key, query, bucket)
            for key, query in queries.items()
            for bucket in range(bucket_of(query.after + 1), bucket_of(query.through) + 1)
        ]
        answers = await together(
            self._session.run(_MENTIONS, (UUID(key), bucket, query.after + 1, query.through))
            for key, query, bucket in asked
        )
        found = defaultdict[ConversationId, list[int]](list)
        for (key, query, _), rows in zip(asked, answers, strict=True):
            for seq, names in rows:
                if query.username in names_in(names):
                    found[key].append(seq)
        return dict(found)


def _in_requests(readers: Mapping[ConversationId, Sequence[Username]]) -> list[_Readers]:
    return [
        (key, some)
        for key, of_one in readers.items()
        for some in slices(of_one, READERS_PER_REQUEST)
    ]


def _markers(
    asked: Sequence[_Readers], answers: Sequence[Any]
) -> dict[ConversationId, dict[Username, int]]:
    """Return how far readers have read, of the rows of these requests."""
    read: dict[ConversationId, dict[Username, int]] = {}
    for (key, _), rows in zip(asked, answers, strict=True):
        for name, *seqs in rows:
            if any(seqs):
                read.setdefault(key, {})[Username(name)] = max(seq or 0 for seq in seqs)
    return read
