"""The newest messages of many conversations, for lists."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from chat4all.adapters.embedded.store.part import Part
from chat4all.adapters.embedded.store.rows import MESSAGE, message_of
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import Activity, Overview
from chat4all.ports.summaries import MentionsQuery, OverviewQuery

_ACTIVITY = """
SELECT value, seq, coalesce(order_ms, 0), "change"
FROM json_each(?) JOIN conversation_heads ON conversation_id = value
"""
_LAST = f"""
SELECT {MESSAGE}
FROM json_each(?) CROSS JOIN messages
    ON messages.conversation_id = json_extract(value, '$[0]')
    AND messages.seq = json_extract(value, '$[1]')
"""
_MARKERS = """
SELECT conversation_id, username, {column}
FROM json_each(?) CROSS JOIN read_markers
    ON conversation_id = json_extract(value, '$[0]') AND username = json_extract(value, '$[1]')
WHERE {column} > 0
"""
_READ_BY = _MARKERS.format(column="read_seq")
_DELIVERED_TO = _MARKERS.format(column="max(delivered_seq, read_seq)")
# Left to itself SQLite reads every message in between.
_MENTIONS = """
SELECT conversation_id, seq
FROM json_each(?) AS asked CROSS JOIN messages INDEXED BY mentioned
    ON conversation_id = json_extract(asked.value, '$[0]')
    AND seq > json_extract(asked.value, '$[2]') AND seq <= json_extract(asked.value, '$[3]')
WHERE mentions IS NOT NULL AND EXISTS (
    SELECT 1 FROM json_each(mentions) AS named
    WHERE named.value = json_extract(asked.value, '$[1]')
) ORDER BY seq
"""


class Summaries(Part):
    """`ports.summaries.ConversationSummaries`: one statement for any number of conversations."""

    async def activity(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, Activity]:
        """Return the newest messages' numbers and places; see `ports.summaries`."""
        keys = _json(conversations)
        rows = await self._database.read(lambda db: db.execute(_ACTIVITY, (keys,)).fetchall())
        return {conversation: Activity(*of_one) for conversation, *of_one in rows}

    async def overviews(
        self, queries: Mapping[ConversationId, OverviewQuery]
    ) -> Mapping[ConversationId, Overview]:
        """Return what lists show; see `ports.summaries`."""
        last = _json([(key, query.seq) for key, query in queries.items()])
        readers = _readers({key: query.readers for key, query in queries.items()})

        def select(db: sqlite3.Connection) -> dict[ConversationId, Overview]:
            rows = map(message_of, db.execute(_LAST, (last,)))
            messages = {message.conversation_id: message for message in rows}
            read: dict[ConversationId, dict[Username, int]] = {key: {} for key in queries}
            for conversation, username, seq in db.execute(_READ_BY, (readers,)):
                read[conversation][username] = min(seq, queries[conversation].seq)
            return {key: Overview(messages.get(key), read[key]) for key in queries}

        return await self._database.read(select)

    async def read_by(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        """Return how far these readers have read; see `ports.summaries`."""
        return await self._markers(_READ_BY, readers)

    async def delivered_to(
        self, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        """Return how far these readers have received; see `ports.summaries`."""
        return await self._markers(_DELIVERED_TO, readers)

    async def _markers(
        self, query: str, readers: Mapping[ConversationId, Sequence[Username]]
    ) -> Mapping[ConversationId, Mapping[Username, int]]:
        asked = _readers(readers)
        rows = await self._database.read(lambda db: db.execute(query, (asked,)).fetchall())
        read: dict[ConversationId, dict[Username, int]] = {}
        for conversation, username, seq in rows:
            read.setdefault(conversation, {})[username] = seq
        return read

    async def mentions(
        self, queries: Mapping[ConversationId, MentionsQuery]
    ) -> Mapping[ConversationId, Sequence[int]]:
        """Return which messages mention a user; see `ports.summaries`."""
        asked = _json([(key, *query) for key, query in queries.items()])
        rows = await self._database.read(lambda db: db.execute(_MENTIONS, (asked,)).fetchall())
        found = defaultdict[ConversationId, list[int]](list)
        for conversation, seq in rows:
            found[conversation].append(seq)
        return dict(found)


def _readers(readers: Mapping[ConversationId, Sequence[Username]]) -> str:
    return _json([(key, reader) for key, of_one in readers.items() for reader in of_one])


def _json(values: object) -> str:
    return msgspec.json.encode(values).decode()
