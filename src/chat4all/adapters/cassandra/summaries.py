"""The newest messages of many conversations, for lists."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chat4all.adapters.cassandra.part import Part
from chat4all.adapters.cassandra.session import together
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Activity, Overview
from chat4all.domain.times import format_milliseconds
from chat4all.ports.summaries import OverviewQuery

HEADS_PER_REQUEST = 20
"""Heads read in one request; the coordinator reads each of them."""

_ACTIVITY = (
    "SELECT conversation_id, seq, toUnixTimestamp(created_at) FROM conversation_heads "
    "WHERE conversation_id IN ?"
)
_READ_BY = "SELECT username, read_seq FROM read_markers WHERE conversation_id = ? AND username IN ?"


class CassandraSummaries(Part):
    """`ports.summaries.ConversationSummaries`: all requests of a call run at once."""

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """Return the newest messages' numbers and times; see `ports.summaries`."""
        keys = [UUID(conversation) for conversation in conversations]
        answers = await together(
            self._session.run(_ACTIVITY, (keys[first : first + HEADS_PER_REQUEST],))
            for first in range(0, len(keys), HEADS_PER_REQUEST)
        )
        rows = [(ConversationId(str(row[0])), row[1], row[2]) for rows in answers for row in rows]
        activity = {
            key: Activity(seq, format_milliseconds(ms)) for key, seq, ms in rows if ms is not None
        }
        # Heads that an earlier release wrote have no time.
        untimed = [(key, seq) for key, seq, ms in rows if ms is None]
        messages = await together(self._with_numbers(key, [seq]) for key, seq in untimed)
        for (key, seq), message in zip(untimed, messages, strict=True):
            activity[key] = Activity(seq, message[0].created_at if message else "")
        return activity

    async def overviews(
        self, queries: Mapping[ConversationId, OverviewQuery]
    ) -> Mapping[ConversationId, Overview]:
        """Return what lists show; see `ports.summaries`."""
        last = [self._with_numbers(key, [query.seq]) for key, query in queries.items()]
        readers = [
            self._session.run(_READ_BY, (UUID(key), list(query.readers)))
            for key, query in queries.items()
        ]
        answers: Sequence[Any] = await together([*last, *readers])
        messages, markers = answers[: len(queries)], answers[len(queries) :]
        return {
            key: Overview(
                message[0] if message else None,
                {Username(name): min(read, query.seq) for name, read in rows if read is not None},
            )
            for (key, query), message, rows in zip(queries.items(), messages, markers, strict=True)
        }
