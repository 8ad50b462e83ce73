"""Records of the log, ours and other producers', and live events."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all.domain.changes import EMOJIS
from chat4all.domain.errors import RouterStopped
from chat4all.domain.events import (
    LiveEvent,
    MarkerMoved,
    MembershipsChanged,
    MessageChanged,
    MessageStored,
    PresenceAsked,
    PresenceSeen,
    Typing,
)
from chat4all.domain.ids import ChangeId, LogPosition, MessageId, Username
from chat4all.domain.kinds import MENTIONS_MAX, PAYLOAD_MAX, Kind
from chat4all.domain.messages import Marker, Receipt, StoredMessage
from chat4all.domain.records import (
    DeletionRecord,
    DeliveredRecord,
    EditRecord,
    MarkerRecord,
    MessageRecord,
    ReactionRecord,
    Record,
)
from chat4all.wire.events import MalformedEvent, decode_events, encode_event, join_events
from chat4all.wire.messages import receipt_view
from chat4all.wire.records import MalformedRecord, decode_record, encode_record, mark_moved
from tests.records import CHATS, record

OURS = MessageRecord(
    CHATS[0],
    MessageId("0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47"),
    Username("bruno"),
    "Olá 🎉",
    "2026-01-31T12:00:00.123Z",
)


def test_a_message_is_written_as_the_original_record() -> None:
    assert json.loads(encode_record(OURS)) == {
        "message_id": OURS.message_id,
        "chat_id": CHATS[0],
        "sender_id": "bruno",
        "content": "Olá 🎉",
        "timestamp_utc": "2026-01-31T12:00:00.123Z",
        "status": "SENT",
        "type": "chat_message",
    }


chats = st.sampled_from(CHATS)
message_ids = st.uuids().map(str).map(MessageId)
names = st.text(min_size=1, max_size=256).map(Username)
texts = st.text(max_size=10_000)
times = st.datetimes().map(lambda t: t.isoformat(timespec="milliseconds") + "Z")
numbers = st.integers(0, 2**53)

of_changes: dict[str, st.SearchStrategy[Any]] = {
    "conversation_id": chats,
    "change_id": st.uuids().map(str).map(ChangeId),
    "author": names,
    "seq": st.integers(1, 2**53),
    "changed_at": times,
    "fresh": st.booleans(),
    "moved": st.booleans(),
}

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | st.text(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=9), one, max_size=3),
    max_leaves=8,
)
of_kinds: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(Kind),
    "payload": st.none() | st.dictionaries(st.text(max_size=9), values, max_size=3),
    "reply_seq": st.none() | st.integers(1, 2**53),
    "mentions": st.lists(names, max_size=3, unique=True).map(tuple),
}

RECORDS: dict[type[Record], st.SearchStrategy[Record]] = {
    MessageRecord: st.builds(
        MessageRecord, chats, message_ids, names, texts, times, *[st.booleans()] * 3, **of_kinds
    ),
    MarkerRecord: st.builds(MarkerRecord, chats, names, numbers, numbers),
    DeliveredRecord: st.builds(
        DeliveredRecord, chats, st.dictionaries(names, st.integers(1, 2**53), max_size=100)
    ),
    EditRecord: st.builds(EditRecord, **of_changes, content=texts),
    DeletionRecord: st.builds(DeletionRecord, **of_changes, as_admin=st.booleans()),
    ReactionRecord: st.builds(
        ReactionRecord, **of_changes, emoji=st.sampled_from(EMOJIS), given=st.booleans()
    ),
}


def test_every_kind_of_record_is_tried() -> None:
    assert set(RECORDS) == set(get_args(Record))


@pytest.mark.thorough
@given(st.one_of(*RECORDS.values()))
def test_what_is_written_is_read(found: Record) -> None:
    assert decode_record(encode_record(found)) == found


@pytest.mark.thorough
@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    with pytest.raises(MalformedRecord):
        decode_record(value)


def test_ids_of_other_producers_become_canonical() -> None:
    upper = record(chat=CHATS[3].upper(), message_id=OURS.message_id.upper())
    found = decode_record(upper)
    assert isinstance(found, MessageRecord)
    assert (found.conversation_id, found.message_id) == (CHATS[3], OURS.message_id)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.123456", "2026-01-31T12:00:00.123Z"),
        ("2026-01-31 12:00:00.9999999+00:00", "2026-01-31T12:00:00.999Z"),
        ("2026-01-31T12:00:00-03:00", "2026-01-31T15:00:00.000Z"),
        ("2026-01-31T12:00:00.5+0530", "2026-01-31T06:30:00.500Z"),
    ],
)
def test_times_of_other_producers_become_utc(text: str, stored: str) -> None:
    found = decode_record(record(timestamp_utc=text))
    assert isinstance(found, MessageRecord)
    assert found.created_at == stored


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp_utc": "yesterday"},
        {"timestamp_utc": "2026-02-30T12:00:00Z"},
        {"timestamp_utc": "2026-01-31T24:00:00Z"},
        {"timestamp_utc": "0001-01-01T00:00:00+02:00"},
        {"timestamp_utc": "2026-W05-6"},
        {"timestamp_utc": 1},
        {"chat_id": "abc"},
        {"chat_id": CHATS[0] + "\n"},
        {"message_id": CHATS[0].replace("-", "")},
        {"sender_id": ""},
        {"sender_id": None},
        {"content": "x" * 10_001},
        {"content": None},
        {"type": "something_else"},
        {"v": 0},
        {"v": "1"},
    ],
)
def test_what_can_never_be_processed_is_malformed(change: dict[str, Any]) -> None:
    good = json.loads(record())
    with pytest.raises(MalformedRecord):
        decode_record(json.dumps(good | change).encode())
    for field in set(good) - {"v"}:
        with pytest.raises(MalformedRecord):
            decode_record(json.dumps({k: v for k, v in good.items() if k != field}).encode())


EDIT = EditRecord(
    conversation_id=CHATS[0],
    change_id=ChangeId(CHATS[1]),
    author=Username("bruno"),
    seq=1,
    changed_at="2026-01-31T12:00:00.123Z",
    content="text",
)
REACTION = ReactionRecord(
    **{name: getattr(EDIT, name) for name in ("conversation_id", "change_id", "author", "seq")},
    changed_at=EDIT.changed_at,
    emoji=EMOJIS[0],
    given=False,
)


@pytest.mark.parametrize(
    ("found", "change"),
    [
        (EDIT, {"seq": 0}),
        (EDIT, {"seq": 2**53 + 1}),
        (EDIT, {"author": ""}),
        (EDIT, {"change_id": "abc"}),
        (EDIT, {"content": "x" * 10_001}),
        (EDIT, {"timestamp_utc": "yesterday"}),
        (REACTION, {"emoji": "🦜"}),
        (REACTION, {"emoji": "❤"}),  # the form of the list only
    ],
)
def test_a_change_that_can_never_be_made_is_malformed(
    found: Record, change: dict[str, Any]
) -> None:
    good = json.loads(encode_record(found))
    with pytest.raises(MalformedRecord):
        decode_record(json.dumps(good | change).encode())
    for field in set(good) - {"v"}:
        with pytest.raises(MalformedRecord):
            decode_record(json.dumps({k: v for k, v in good.items() if k != field}).encode())


@pytest.mark.parametrize("found", [EDIT, REACTION])
def test_a_change_exists_at_version_2_only(found: Record) -> None:
    """At version 1 every release before made it a dead letter (EXACTNESS 22)."""
    for v in ({"v": 1}, {}):
        said = {k: x for k, x in json.loads(encode_record(found)).items() if k != "v"} | v
        with pytest.raises(MalformedRecord, match="unknown type"):
            decode_record(json.dumps(said).encode())


def test_a_cause_does_not_repeat_the_content() -> None:
    with pytest.raises(MalformedRecord) as refused:
        decode_record(record(content="private" * 2_000))
    assert "private" not in str(refused.value)


def test_a_later_version_stops_whatever_its_type_is() -> None:
    for value in (record(v=3), b'{"type": "not known yet", "v": 3}'):
        with pytest.raises(RouterStopped, match="version 3"):
            decode_record(value)
    # Types that come later have this version too.
    with pytest.raises(RouterStopped, match="version 2"):
        decode_record(b'{"type": "not known yet", "v": 2}')


def test_a_record_says_the_lowest_version_that_has_its_fields() -> None:
    silent = OURS._replace(mark_read=False)
    assert json.loads(encode_record(silent)) == json.loads(encode_record(OURS)) | {
        "v": 2,
        "mark_read": False,
    }
    assert decode_record(encode_record(silent)) == silent
    moved = decode_record(mark_moved(encode_record(silent)))
    assert moved == silent._replace(moved=True)


@pytest.mark.parametrize("value", [False, True, 5, None, "no", {"a": 1}])
def test_fields_of_version_2_are_passed_over_below_it(value: object) -> None:
    for earlier in (record(mark_read=value), record(mark_read=value, v=1)):
        found = decode_record(earlier)
        assert isinstance(found, MessageRecord)
        assert found.mark_read
    if not isinstance(value, bool):
        with pytest.raises(MalformedRecord):
            decode_record(record(mark_read=value, v=2))


OF_V2: dict[str, Any] = {
    "kind": "location",
    "payload": {"lat": 1.5, "n": -(2**53), "more": [{"a": None}, "🎉"]},
    "reply_seq": 2**53,
    "mentions": ["ana", "bruno"],
}


@pytest.mark.parametrize("field", OF_V2)
def test_a_kind_is_of_version_2_alone(field: str) -> None:
    """Without it a foreign record with `kind: 5` is numbered by one release and put aside by the
    next (EXACTNESS 22)."""
    ours = decode_record(record(message_id=OURS.message_id))
    others: list[Any] = [OF_V2[field], 5, [], {}, "", None, "x" * 300]
    versions: list[dict[str, Any]] = [{}, {"v": 1}]
    for other in others:
        for earlier in versions:
            found = decode_record(record(message_id=OURS.message_id, **{field: other}, **earlier))
            assert found == ours
    found = decode_record(record(message_id=OURS.message_id, v=2, **{field: OF_V2[field]}))
    assert isinstance(found, MessageRecord)
    assert found != ours
    said = json.loads(encode_record(found))
    assert (said["v"], said[field]) == (2, OF_V2[field])
    assert decode_record(mark_moved(encode_record(found))) == found._replace(moved=True)


BROKEN: list[dict[str, Any]] = [
    *[{"kind": value} for value in (5, None, "", "Text", "a secret", ["text"])],
    *[{"payload": value} for value in (5, "x", [1], True)],
    {"payload": {"a": 2**53 + 1}},
    {"payload": {"a": [-(2**53) - 1]}},
    {"payload": {"a": "x" * PAYLOAD_MAX}},
    *[{"reply_seq": value} for value in (0, -1, 1.0, "1", 2**53 + 1)],
    *[{"mentions": value} for value in (None, "ana", [1], [""], ["x" * 257])],
    {"mentions": ["ana"] * (MENTIONS_MAX + 1)},
]


@pytest.mark.parametrize("fields", BROKEN)
def test_a_record_with_a_broken_field_of_version_2_is_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecord) as refused:
        decode_record(record(v=2, **fields))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 17, "9" * 5_000])
def test_a_number_that_not_every_parser_has_is_malformed(number: str) -> None:
    value = record(v=2, payload={"a": "x"}).replace(b'"x"}', number.encode() + b"}")
    with pytest.raises(MalformedRecord, match="number"):
        decode_record(value)


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00x", "\\u12", "\\x41"])
def test_a_payload_that_is_no_text_is_malformed(text: str) -> None:
    value = record(v=2, payload={"a": ["y"]}).replace(b'"y"', f'"{text}"'.encode())
    with pytest.raises(MalformedRecord):
        decode_record(value)


def test_unknown_fields_are_passed_over() -> None:
    assert isinstance(decode_record(record(kinds="text", more={"a": [1]})), MessageRecord)


positions = st.builds(LogPosition, numbers, numbers, numbers)
EVENTS: dict[type[LiveEvent], st.SearchStrategy[LiveEvent]] = {
    MessageStored: st.builds(
        MessageStored,
        st.builds(
            StoredMessage, chats, numbers, message_ids, names, texts, times, positions, **of_kinds
        ),
    ),
    MarkerMoved: st.builds(
        MarkerMoved, st.builds(Marker, chats, names, numbers, numbers, numbers, numbers)
    ),
    MessageChanged: st.builds(MessageChanged, chats, numbers, numbers),
    Typing: st.builds(Typing, chats, names),
    PresenceAsked: st.builds(PresenceAsked, texts, st.lists(names), st.booleans()),
    MembershipsChanged: st.builds(MembershipsChanged, names),
    PresenceSeen: st.builds(PresenceSeen, texts, st.dictionaries(names, numbers)),
}


def test_every_kind_of_event_is_tried() -> None:
    assert set(EVENTS) == set(get_args(LiveEvent))


@given(st.lists(st.one_of(*EVENTS.values()), max_size=5))
def test_what_is_announced_is_heard(events: list[LiveEvent]) -> None:
    assert decode_events(join_events(map(encode_event, events))) == events


MARKER = {"conversation_id": CHATS[0], "username": "ana", "delivered_seq": 2, "read_seq": 1}
GOOD = {"type": "marker", "marker": MARKER}


def test_unknown_fields_of_an_event_are_passed_over() -> None:
    more = GOOD | {"later": [1], "marker": MARKER | {"later": {}}}
    assert decode_events(json.dumps([more]).encode()) == decode_events(json.dumps([GOOD]).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff",
        b'["\xff"]',
        b"[" * 100_000,
        json.dumps([GOOD, GOOD | {"type": "a kind of a later release"}]).encode(),
        json.dumps([{"marker": MARKER}]).encode(),
        json.dumps([GOOD | {"type": "message"}]).encode(),
        json.dumps([GOOD | {"marker": MARKER | {"read_seq": "private"}}]).encode(),
    ],
)
def test_an_event_that_cannot_be_read_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedEvent) as refused:
        decode_events(raw)
    assert "private" not in str(refused.value)


@pytest.mark.parametrize("far_off", [10**15, -(10**15), 2**63 - 1])
def test_a_time_that_no_calendar_has_is_none(far_off: int) -> None:
    view = receipt_view(Username("ana"), Receipt(2, 1, far_off, 1_769_860_800_123))
    assert (view.delivered_at, view.read_at) == (None, "2026-01-31T12:00:00.123Z")
