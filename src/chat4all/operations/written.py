"""What a user has written, read from the message store for an export."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import msgspec

from chat4all.adapters.embedded.inspecting import NEWEST
from chat4all.adapters.sqlite_files import read_only
from chat4all.domain.changes import ReactionCount, Version
from chat4all.domain.errors import CommandRefused
from chat4all.domain.ids import ConversationId, Username
from chat4all.domain.messages import AllRead
from chat4all.operations.running import cluster_extra
from chat4all.ports.history import History
from chat4all.settings import CassandraSettings
from chat4all.wire.messages import MessageView
from chat4all.wire.payloads import names_in, payload_in

PAGE = 200

_NOBODY_READ = AllRead(0, None, 0)

_VERSION = "PRAGMA user_version"
_MESSAGES = """
SELECT conversation_id, seq, message_id, coalesce(edited_content, content) AS content, created_at,
    edited_at, deleted_at, CASE WHEN edited_at IS NULL THEN '[]' ELSE (
        SELECT json_group_array(text) FROM (
            SELECT messages.content AS text, 0 AS number UNION ALL
            SELECT edits.content, "change" FROM edits
            WHERE edits.conversation_id = messages.conversation_id AND edits.seq = messages.seq
            ORDER BY number
        )
    ) END AS texts, coalesce(kind, 'text') AS kind, payload, reply_seq AS reply_to_seq,
    coalesce(mentions, '[]') AS mentions
FROM messages WHERE (conversation_id, seq) > (:conversation_id, :seq) AND sender_id = :username
ORDER BY conversation_id, seq LIMIT :limit
"""
_REACTIONS = """
SELECT conversation_id, seq, emoji FROM reactions
WHERE (conversation_id, seq, emoji) > (:conversation_id, :seq, :emoji) AND username = :username
    AND given ORDER BY conversation_id, seq, emoji LIMIT :limit
"""
_MARKERS = """
SELECT conversation_id, max(delivered_seq, read_seq) AS delivered_seq, read_seq FROM read_markers
WHERE conversation_id > :conversation_id AND username = :username
ORDER BY conversation_id LIMIT :limit
"""
_BEFORE_ALL: Mapping[str, str | int] = {"conversation_id": "", "seq": 0, "emoji": ""}
"""What the keys of these rows come after."""

Fields = Mapping[str, Any]

_views = msgspec.json.Decoder(list[MessageView])


class Written(Protocol):
    """What a user has written. `conversations` are those that the user is in."""

    reach: str
    """Where messages are looked for."""

    def check(self) -> None:
        """Raise `CommandRefused` where it is certain that nothing can be read."""
        ...

    def messages(
        self, username: Username, conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield the fields of each message, by conversation and number.

        `texts` are all that it had if it was edited, earliest first; `reply_to_seq` is the number
        of the message that it answers.
        """
        ...

    def reactions(
        self, username: Username, conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield the fields of each reaction that is given, by conversation and number."""
        ...

    def markers(
        self, username: Username, conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield the fields of each read marker, by conversation."""
        ...


class InFolder:
    """In a data folder. Every row is looked at, since rows are not found by who wrote them."""

    reach = "every conversation, also those that the user has left"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "store.db"

    async def messages(
        self, username: Username, _conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield messages; see `Written`."""
        for row in self._pages(_MESSAGES, username):
            yield {
                **row,
                "texts": msgspec.json.decode(row["texts"]),
                "payload": payload_in(row["payload"]),
                "mentions": names_in(row["mentions"]),
            }

    async def reactions(
        self, username: Username, _conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield reactions; see `Written`."""
        for row in self._pages(_REACTIONS, username):
            yield row

    async def markers(
        self, username: Username, _conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield read markers; see `Written`."""
        for row in self._pages(_MARKERS, username):
            yield row

    def check(self) -> None:
        """Raise `CommandRefused` for a file that lacks what this release reads; see `Written`."""
        for row in self._rows(_VERSION):
            if row["user_version"] != NEWEST[self._file.name]:
                raise CommandRefused(
                    f"{self._file} is another release's: start this release of Chat4All with it "
                    "once"
                )

    def _pages(self, query: str, username: Username) -> Iterator[Fields]:
        """Yield rows, a page at a time.

        Whoever takes them may be slow, as `less` is, and while a SELECT is open nothing of
        store.db's write-ahead log can be reused.
        """
        last: Fields = _BEFORE_ALL
        more = True
        while more:
            key = {name: last.get(name) for name in _BEFORE_ALL}
            rows = self._rows(query, key | {"username": username, "limit": PAGE})
            yield from rows
            more = len(rows) == PAGE
            if more:
                last = rows[-1]

    def _rows(self, query: str, values: Fields | None = None) -> Sequence[Fields]:
        try:
            with read_only(self._file) as db, closing(db.execute(query, values or {})) as rows:
                names = [column[0] for column in rows.description]
                return [dict(zip(names, row, strict=True)) for row in rows]
        except sqlite3.Error as error:
            raise CommandRefused(f"{self._file} cannot be read: {error}") from error


class InCluster:
    """In Cassandra, whose rows are found by their conversation only."""

    reach = "the conversations that the user is in"

    def __init__(self, settings: CassandraSettings) -> None:
        self._settings = settings

    def check(self) -> None:
        """Leave it to who connects, who looks at the tables first; see `Written`."""

    async def messages(
        self, username: Username, conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield messages; see `Written`. Raises `Unavailable`."""
        with cluster_extra():
            from chat4all.operations.cluster import stored_history  # noqa: PLC0415
        async with stored_history(self._settings) as history:
            async for conversation, view in _all_of(history, conversations):
                if view.sender_id == username:
                    versions: Sequence[Version] = ()
                    if view.edited_at is not None:
                        versions = await history.versions(conversation, view.seq or 0)
                    yield {
                        "conversation_id": conversation,
                        "seq": view.seq,
                        "message_id": view.message_id,
                        "content": view.content,
                        "created_at": view.created_at,
                        "edited_at": view.edited_at,
                        "deleted_at": view.deleted_at,
                        "texts": [version.content for version in versions],
                        "kind": view.kind,
                        "payload": view.payload,
                        "reply_to_seq": view.reply_to and view.reply_to.seq,
                        "mentions": view.mentions,
                    }

    async def reactions(
        self, username: Username, conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield reactions; see `Written`. Raises `Unavailable`."""
        with cluster_extra():
            from chat4all.operations.cluster import stored_history  # noqa: PLC0415
        async with stored_history(self._settings) as history:
            async for conversation, view in _all_of(history, conversations):
                reactions: Sequence[ReactionCount] = view.reactions
                if any(len(one.names) < one.count for one in reactions):
                    reactions = await history.reactions(conversation, view.seq or 0)
                for one in reactions:
                    if username in one.names:
                        yield {
                            "conversation_id": conversation,
                            "seq": view.seq,
                            "emoji": one.emoji,
                        }

    async def markers(
        self, username: Username, conversations: Sequence[ConversationId]
    ) -> AsyncIterator[Fields]:
        """Yield read markers; see `Written`. Raises `Unavailable`."""
        with cluster_extra():
            from chat4all.operations.cluster import stored_history  # noqa: PLC0415
        async with stored_history(self._settings) as history:
            for conversation in sorted(conversations):
                receipt = (await history.receipts(conversation)).get(username)
                if receipt is not None:
                    yield {
                        "conversation_id": conversation,
                        "delivered_seq": receipt.delivered_seq,
                        "read_seq": receipt.read_seq,
                    }


async def _all_of(
    history: History, conversations: Sequence[ConversationId]
) -> AsyncIterator[tuple[ConversationId, MessageView]]:
    """Yield every message of some conversations, as it is shown."""
    for conversation in sorted(conversations):
        after, more = 0, True
        while more:
            page = await history.page(conversation, _NOBODY_READ, limit=PAGE, after=after)
            after, more = page.last, page.more
            for view in _views.decode(page.body):
                yield conversation, view
