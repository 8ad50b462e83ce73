"""Pages of a conversation, single messages and markers: what readers need."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from chat4all.adapters.embedded.store.changed import MessageChanges
from chat4all.adapters.embedded.store.rows import (
    ANSWERED,
    AS_JSON,
    IS_WITHOUT,
    MESSAGE,
    WITHOUT,
    message_of,
)
from chat4all.domain.changes import ReactionCount
from chat4all.domain.ids import ConversationId, MessageId, Username
from chat4all.domain.messages import AllRead, Receipt, Status, StoredMessage
from chat4all.domain.position import START, Position
from chat4all.ports.history import EncodedPage
from chat4all.wire.messages import MessageView

SEQ_END = 2**63 - 1
"""Above every number."""

_HEAD = "SELECT seq FROM conversation_heads WHERE conversation_id = :conversation"

_STATUS = f"""
        CASE WHEN seq <= iif(sender_id = :slowest, :others, :everybody)
        THEN '{Status.READ}' ELSE '{Status.DELIVERED}' END"""


def _view() -> str:
    """Return the expression of a `MessageView` in JSON.

    What few messages have comes last. It is a constant where a message has nothing of that, which
    saves a fifth of a page's time. A field that is neither stored nor listed here is a KeyError at
    import.
    """
    expressions = {**AS_JSON, "status": _STATUS}
    keys = dict(
        zip(MessageView.__struct_fields__, MessageView.__struct_encode_fields__, strict=True)
    )
    values = {field: f"'{key}', {expressions[field]}" for field, key in keys.items()}
    common = [values[field] for field in keys if field not in WITHOUT]
    rest = ",".join(f'"{keys[field]}":{WITHOUT[field]}' for field in [*keys][len(common) :])
    return (
        f"CASE WHEN {IS_WITHOUT} THEN rtrim(json_object({', '.join(common)}), '}}') || ',{rest}}}' "
        f"ELSE json_object({', '.join(values.values())}) END"
    )


_NAMED = f"""
        CASE WHEN kind IS NOT NULL THEN json_array(
            json(coalesce(mentions, '[]')), (SELECT answered.sender_id {ANSWERED})
        ) END"""

# One row with a page of `MessageView`s. Numbers have no gaps, so the bounds say which messages it
# has. The text has the order of the subquery: SQLite does not merge an ordered subquery into an
# aggregate ("flattening", rule 16). Each sender once: comparing them here costs less than decoding
# all of them on the event loop.
_PAGE = f"""
SELECT min(seq), max(seq), max(seq) < head,
       CAST('[' || group_concat(message) || ']' AS BLOB), json_group_array(DISTINCT sender_id),
       group_concat(reactions), group_concat(named),
       (SELECT seq || '.' || "change" FROM conversation_heads WHERE conversation_id = :conversation)
FROM (
    SELECT head, seq, sender_id, reactions, {_NAMED} AS named,
        {_view()} AS message
    FROM (SELECT seq AS head FROM conversation_heads WHERE conversation_id = :conversation)
    CROSS JOIN messages
    WHERE conversation_id = :conversation AND {{bounds}}
    ORDER BY seq
)
"""
_PAGE_ABOVE = _PAGE.replace("{bounds}", "seq > :after AND seq <= min(:after + :limit, head)")
_PAGE_BELOW = _PAGE.replace(
    "{bounds}", "seq > min(:before - 1, head) - :limit AND seq <= min(:before - 1, head)"
)
_WITH_ID = f"""
SELECT {MESSAGE} FROM messages WHERE conversation_id = :conversation AND seq IN (
    SELECT seq FROM message_ids WHERE conversation_id = :conversation AND message_id = :message
) AND seq <= (SELECT seq FROM conversation_heads WHERE conversation_id = :conversation)
ORDER BY seq
"""
_READ_SEQ = """
SELECT read_seq FROM read_markers WHERE conversation_id = :conversation AND username = :username
"""
_READ_SEQS = """
SELECT json_group_array(json_array(username, min(read_seq, head)))
FROM read_markers JOIN (
    SELECT coalesce((SELECT seq FROM conversation_heads WHERE conversation_id = :conversation), 0)
    AS head
) WHERE conversation_id = :conversation
"""
_RECEIPTS = """
SELECT username, seq, delivered_seq, read_seq, delivered_ms, read_ms
FROM read_markers JOIN conversation_heads USING (conversation_id)
WHERE conversation_id = ?
"""
_senders = msgspec.json.Decoder(list[Username])
_reactions = msgspec.json.Decoder(list[tuple[ReactionCount, ...]])
_others = msgspec.json.Decoder(list[tuple[tuple[Username, ...], Username | None]])
_read_seqs = msgspec.json.Decoder(list[tuple[Username, int]])


class MessageHistory(MessageChanges):
    """`ports.history.History`: SQLite builds a page's JSON."""

    async def head(self, conversation: ConversationId) -> int:
        """Return the newest visible number; see `ports.history.ConversationHeads`."""
        row = await self._database.read_one(_HEAD, {"conversation": conversation})
        return 0 if row is None else int(row[0])

    async def read_seq(self, conversation: ConversationId, username: Username) -> int:
        """Return how far a reader has read; see `ports.history.MarkedHeads`."""
        values = {"conversation": conversation, "username": username}
        row = await self._database.read_one(_READ_SEQ, values)
        return 0 if row is None else int(row[0])

    async def page(
        self,
        conversation: ConversationId,
        all_read: AllRead,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
    ) -> EncodedPage:
        """Return consecutive messages as readers see them; see `ports.history.History`."""
        first, last, more, body, senders, *named, at = await self._database.read_one(
            _PAGE_BELOW if after is None else _PAGE_ABOVE,
            {
                "conversation": conversation,
                "limit": limit,
                "before": SEQ_END if before is None else before,
                "after": after,
                "everybody": all_read.everybody,
                "slowest": all_read.slowest,
                "others": all_read.others,
            },
        )
        position = START if at is None else Position.parse(at)
        if not body:
            return EncodedPage(b"[]", 0, 0, more=False, position=position)
        names = frozenset(_senders.decode(senders)).union(*_named(*named))
        return EncodedPage(body, first, last, bool(more), names, position)

    async def with_id(
        self, conversation: ConversationId, message_id: MessageId
    ) -> Sequence[StoredMessage]:
        """Return the messages with this id; see `ports.history.History`."""
        values = {"conversation": conversation, "message": message_id}

        def select(db: sqlite3.Connection) -> list[StoredMessage]:
            return [message_of(row) for row in db.execute(_WITH_ID, values)]

        return await self._database.read(select)

    async def read_seqs(self, conversation: ConversationId) -> Mapping[Username, int]:
        """Return how far each member has read; see `ports.history.History`."""
        (text,) = await self._database.read_one(_READ_SEQS, {"conversation": conversation})
        return dict(_read_seqs.decode(text))

    async def receipts(self, conversation: ConversationId) -> Mapping[Username, Receipt]:
        """Return what each reader has received and read; see `ports.history.History`."""

        def select(db: sqlite3.Connection) -> dict[Username, Receipt]:
            rows = db.execute(_RECEIPTS, (conversation,))
            return {username: Receipt.of(*marker) for username, *marker in rows}

        return await self._database.read(select)


def _named(reactions: str | None, others: str | None) -> Iterator[Iterable[Username]]:
    """Return the users in the columns of a page besides its senders; most pages have none."""
    if reactions:
        for of_one in _reactions.decode(f"[{reactions}]"):
            yield from (reaction.names for reaction in of_one)
    if others:
        for mentions, answered in _others.decode(f"[{others}]"):
            yield mentions
            if answered is not None:
                yield [answered]
