"""The statements that write ids, markers and heads, each with its write time (rule 5)."""

from uuid import UUID

from chat4all.adapters.cassandra.keys import first_wins_timestamp, log_timestamp, slot_of
from chat4all.adapters.cassandra.session import Statement
from chat4all.domain.ids import ConversationId
from chat4all.domain.messages import Head, Marker
from chat4all.ports.store import IdEntry, IdKey

_PUT_ID = (
    "INSERT INTO message_ids (conversation_id, slot, message_id, sender_id, seq, log_position) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_MARKER = (
    "INSERT INTO read_markers (conversation_id, username, delivered_seq, read_seq, delivered_ms, "
    "read_ms) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_DELIVERED = (
    "INSERT INTO read_markers (conversation_id, username, delivered_seq, delivered_ms) "
    "VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_READ = (
    "INSERT INTO read_markers (conversation_id, username, read_seq, read_ms) "
    "VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_HEAD = (
    "INSERT INTO conversation_heads (conversation_id, seq, log_position) VALUES (?, ?, ?) "
    "USING TIMESTAMP ?"
)
_PUT_HEAD_WITH_ORDER = (
    "INSERT INTO conversation_heads (conversation_id, seq, log_position, order_ms) "
    "VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)


def put_id(key: IdKey, entry: IdEntry) -> Statement:
    """Write where an id was used; the first use stays."""
    message_id = UUID(key.message_id)
    return _PUT_ID, (
        UUID(key.conversation_id),
        slot_of(message_id),
        message_id,
        key.sender_id,
        entry.seq,
        entry.log_position,
        first_wins_timestamp(entry.log_position),
    )


def put_marker(marker: Marker) -> list[Statement]:
    """Write two numbers that only grow: each is its own write time (EXACTNESS 14).

    It is the write time of the number's timestamp too, so that a lower number never replaces a
    higher one's. For equal numbers Cassandra keeps the larger value, which is the later timestamp.
    """
    key = (UUID(marker.conversation_id), marker.username)
    delivered, read = marker.delivered_seq, marker.read_seq
    delivered_ms, read_ms = marker.delivered_ms, marker.read_ms
    if delivered == read:  # as after sending: one statement instead of two
        return [(_PUT_MARKER, (*key, delivered, read, delivered_ms, read_ms, read))]
    received = (_PUT_DELIVERED, (*key, delivered, delivered_ms, delivered))
    was_read = (_PUT_READ, (*key, read, read_ms, read))
    return [one for one, seq in ((received, delivered), (was_read, read)) if seq]


def put_head(conversation: ConversationId, head: Head) -> Statement:
    """Write up to where readers see messages; a lower head than before changes nothing."""
    key = (UUID(conversation), head.seq, head.log_position)
    if not head.order_ms:  # a null is never inserted (EXACTNESS 5)
        return _PUT_HEAD, (*key, log_timestamp(head.log_position))
    return _PUT_HEAD_WITH_ORDER, (*key, head.order_ms, log_timestamp(head.log_position))
