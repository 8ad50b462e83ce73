"""How far a batch moves the members' markers (EXACTNESS 14)."""

from collections.abc import Iterable, Mapping, Sequence

from chat4all.domain.ids import ConversationId, LogPosition, Username
from chat4all.domain.messages import Marker, StoredMessage
from chat4all.domain.records import LogRecord, MarkerRecord

_NOT_REACHED = (0, 0, 0, 0)


def furthest(
    messages: Iterable[StoredMessage],
    appended_ms: Mapping[LogPosition, int],
    markers: Iterable[tuple[LogRecord, MarkerRecord]],
) -> Sequence[Marker]:
    """Return one marker per member and conversation.

    Sending counts as reading up to there, for the messages whose time is in `appended_ms`: the
    others are of programs that do not read.
    """
    reached: dict[tuple[ConversationId, Username], tuple[int, int, int, int]] = {}
    for m in messages:
        at = appended_ms.get(m.log_position)
        if at is None:
            continue
        place = (m.conversation_id, m.sender_id)
        delivered, delivered_ms, read, read_ms = reached.get(place, _NOT_REACHED)
        # Of equal numbers the later time counts, as in the store: the result must not depend on
        # how records fall into batches.
        delivered, delivered_ms = max((delivered, delivered_ms), (m.seq, at))
        read, read_ms = max((read, read_ms), (m.seq, at))
        reached[place] = (delivered, delivered_ms, read, read_ms)
    for record, marker in markers:
        place = (marker.conversation_id, marker.username)
        delivered, delivered_ms, read, read_ms = reached.get(place, _NOT_REACHED)
        at = record.appended_ms
        # Reading alone does not move it: see `Receipt.of`.
        if marker.delivered_seq > marker.read_seq:
            delivered, delivered_ms = max((delivered, delivered_ms), (marker.delivered_seq, at))
        if marker.read_seq:  # else it was delivered, and nothing was read
            read, read_ms = max((read, read_ms), (marker.read_seq, at))
        reached[place] = (delivered, delivered_ms, read, read_ms)
    return [
        Marker(*place, delivered, read, delivered_ms, read_ms)
        for place, (delivered, delivered_ms, read, read_ms) in reached.items()
    ]
