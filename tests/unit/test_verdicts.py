"""What becomes of a foreign record is decided by its bytes, not by the interpreter (rule 1)."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat4all.domain.errors import RouterStopped
from chat4all.domain.records import MarkerRecord, MessageRecord
from chat4all.wire.events import MalformedEvent, decode_events
from chat4all.wire.nesting import NESTING_MAX, is_nested_too_deeply
from chat4all.wire.records import (
    RECORD_VERSION,
    SEQ_MAX,
    MalformedRecord,
    decode_record,
    mark_moved,
)
from tests.records import CHATS, record

GOOD = record("x", message_id="0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47")
DIGITS_OF_THE_INTERPRETER = 4_300


def message(more: bytes) -> bytes:
    """Return a good message with more fields."""
    return GOOD[:-1] + b", " + more + b"}"


def extra(value: bytes) -> bytes:
    """Return a good message with a field that no release knows."""
    return message(b'"extra": ' + value)


def of_v2(more: bytes) -> bytes:
    """Return a message of version 2 with more fields."""
    return message(b'"v": 2, ' + more)


def payload(value: bytes) -> bytes:
    """Return a message whose payload has a value."""
    return of_v2(b'"payload": {"a": ' + value + b"}")


def marker(seq: bytes) -> bytes:
    head = {"type": "read_marker", "chat_id": CHATS[0], "username": "ana", "delivered_seq": 1}
    return json.dumps(head).encode()[:-1] + b', "read_seq": ' + seq + b"}"


def timed(text: str) -> bytes:
    return message(b'"timestamp_utc": ' + json.dumps(text).encode())


def arrays(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def objects(levels: int) -> bytes:
    return b'{"a": ' * levels + b"1" + b"}" * levels


# Each is numbered, or a dead letter, or it stops the router: for ever, on every interpreter and
# with every version of the JSON library. A change here needs a higher `v` (rule 1).
NUMBERED = [
    GOOD,
    b" \t\r\n" + GOOD + b" \n",
    # nesting: the record itself is the first level
    extra(arrays(NESTING_MAX - 1)),
    extra(objects(NESTING_MAX - 1)),
    extra(b"[" + b"[], {}, " * 10_000 + b"[]]"),
    extra(b'"' + b"[" * 10_000 + b'"'),
    extra(b'"\\"' + b"{[" * 5_000 + b'\\\\"'),
    # numbers that nobody reads
    extra(b"1" * 5_000),
    extra(b"-0.1e-5000"),
    extra(b"1e999"),
    extra(b"1E+99999999999999999999"),
    # keys twice: the last one counts
    extra(b'{"a": 1, "a": 2}'),
    message(b'"v": 1, "v": 1'),
    message(b'"content": "y"'),
    # text
    extra('"🎉 \u2028 \U0010ffff"'.encode()),
    extra(b'"\\ud83c\\udf89 \\u0000 \\/"'),
    message('"content": "\0\u0300\u200d"'.encode().replace(b"\0", b"\\u0000")),
    message(b'"status": "anything"'),
    message(b'"sender_id": "\\u0660"'),
    # identifiers
    message(b'"message_id": "00000000-0000-0000-0000-000000000000"'),
    message(b'"message_id": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"'),
    # times
    timed("0001-01-01T00:00:00Z"),
    timed("9999-12-31T23:59:59.999999999Z"),
    timed("2024-02-29T12:00:00.1-2359"),
    timed("2026-01-31 12:00:00"),
    # what exists at version 2 only
    message(b'"kind": 5, "payload": [], "reply_seq": 0, "mentions": 1'),
    of_v2(b'"kind": "video", "payload": null, "reply_seq": null, "mentions": []'),
    payload(arrays(NESTING_MAX - 2)),
    payload(objects(NESTING_MAX - 2)),
    *[payload(b"%d" % number) for number in (SEQ_MAX, -SEQ_MAX)],
    payload(b"[-0, -0.0, 1e-999, 1E+300, 0.%s]" % (b"1" * 9_000)),
    payload(b'"\\ud83c\\udf89 \\u0000"'),
    # markers
    marker(b"0"),
    marker(b"-0"),
    marker(b"%d" % SEQ_MAX),
]

DEAD_LETTERS = [
    b"",
    b"null",
    b"[]",
    b'"\xed\xa0\x80"',
    b"\xef\xbb\xbf" + GOOD,
    GOOD.decode().encode("utf-16"),
    GOOD + b"\0",
    GOOD + GOOD,
    # nesting
    extra(arrays(NESTING_MAX)),
    extra(objects(NESTING_MAX)),
    *[extra(arrays(levels)) for levels in (65, 500, 949, 960, 970, 1_000, 5_000, 100_000)],
    *[extra(objects(levels)) for levels in (65, 949, 960, 970, 5_000)],
    extra(b'{"a": [' * 480 + b"]}" * 480),
    extra(b"[" * 100_000),
    b"[" * 200_000,
    b'{"' * 100_000,
    b"[" * 65 + b'"' + b'\\"' * 500_000,  # quickly: no string ends
    b"[" * 65 + b'"' + b"\\" * 500_001,
    message(b'"content": ' + arrays(960)),
    message(b'"v": ' + arrays(960)),
    # what JSON is not
    *[extra(value) for value in (b"NaN", b"Infinity", b"-Infinity", b"nul", b"01", b"1.", b".5")],
    *[extra(value) for value in (b"+1", b"1e", b"-", b"0x1", b"1_000", b"'a'", b"[1,]", b"// a")],
    extra("\u0661".encode()),
    # text
    *[extra(b'"\\ud800%s"' % after) for after in (b"", b"abcdefgh", b"\\ud800", b"\\u0041")],
    extra(b'"\\udc00abcdefgh"'),
    extra(b'"\\u12"'),
    extra(b'"\\x41"'),
    extra(b'"\x01"'),
    *[
        extra(b'"%s"' % text)
        for text in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80")
    ],
    message(b'"\xff": 1'),
    message(b'"\\ud800abcdefgh": 1'),
    # numbers that are read
    *[message(b'"v": ' + v) for v in (b"0", b"-1", b"1.0", b"1e0", b"true", b"null", b'"1"')],
    *[message(b'"v": ' + v) for v in (b"1e999", b"%d" % (SEQ_MAX + 1), b"%d" % 2**64)],
    *[message(b'"v": ' + b"1" * n) for n in (641, 1_000, DIGITS_OF_THE_INTERPRETER)],
    message(b'"v": ' + b"1" * (DIGITS_OF_THE_INTERPRETER + 1)),
    *[marker(n) for n in (b"-1", b"1.0", b"1e1", b"1e999", b"%d" % (SEQ_MAX + 1), b"%d" % 2**64)],
    *[marker(b"1" * n) for n in (641, 1_000, DIGITS_OF_THE_INTERPRETER + 1)],
    *[message(b'"fresh": ' + value) for value in (b"1", b"null", b'"true"')],
    # what exists at version 2 only
    *[of_v2(b'"kind": ' + value) for value in (b"5", b"null", b'"Text"', b'"sticker"')],
    *[of_v2(b'"payload": ' + value) for value in (b"5", b"[]", b'"x"', b"false")],
    *[of_v2(b'"reply_seq": ' + value) for value in (b"0", b"1.0", b"%d" % (SEQ_MAX + 1))],
    *[of_v2(b'"mentions": ' + value) for value in (b"null", b"{}", b'"x"', b"[1]", b'[""]')],
    *[payload(number) for number in (b"%d" % (SEQ_MAX + 1), b"1" * 641, b"1e999", b"NaN")],
    *[payload(b"[-%s]" % (b"1" * n)) for n in (1_000, DIGITS_OF_THE_INTERPRETER + 1)],
    payload(arrays(NESTING_MAX - 1)),
    payload(b'{"a": "\\ud800"}'),
    payload(b'"%s"' % (b"x" * 16_384)),
    # identifiers as Python's `uuid` would take them
    *[
        message(b'"message_id": "%s"' % text)
        for text in (
            b"{0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47}",
            b"urn:uuid:0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47",
            b"0199f3a47c1e7d2a9b6e3f1c5a8e2d47",
            b"0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d4\\u0667",
            b"0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47\\n",
            b" 0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47",
        )
    ],
    # times as some Python's `fromisoformat` would take them
    *[
        timed(text)
        for text in (
            "0000-01-01T00:00:00Z",
            "2026-01-31",
            "2026-01-31T12",
            "2026-01-31T12:00",
            "20260131T120000Z",
            "2026-W05-6T12:00:00Z",
            "2026-031T12:00:00Z",
            "2026-01-31T12:00:00z",
            "2026-01-31t12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:60Z",
            "2026-01-31T12:00:00,5Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.1234567890Z",
            "2026-01-31T12:00:00+00:60",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+01:00:30",
            "2026-01-31T12:00:00+01",
            "2026-01-31T12:00:00Z\n",
            "2026-01-3\u0661T12:00:00Z",
            "2025-02-29T12:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        )
    ],
]

STOPS = [
    message(b'"v": %d' % (RECORD_VERSION + 1)),
    message(b'"v": %d' % SEQ_MAX),
    message(b'"v": 1, "v": %d' % (RECORD_VERSION + 1)),
]


def verdict(value: bytes) -> str:
    try:
        found = decode_record(value)
    except MalformedRecord:
        return "dead letter"
    except RouterStopped:
        return "stops"
    assert isinstance(found, MessageRecord | MarkerRecord)
    return "numbered"


def verdicts() -> list[str]:
    return [verdict(value) for value in (*NUMBERED, *DEAD_LETTERS, *STOPS)]


WANTED = ["numbered"] * len(NUMBERED) + ["dead letter"] * len(DEAD_LETTERS) + ["stops"] * len(STOPS)


def test_every_verdict_is_the_one_that_was_decided() -> None:
    found = verdicts()
    values = (*NUMBERED, *DEAD_LETTERS, *STOPS)
    wrong = [v for v, is_, wanted in zip(values, found, WANTED, strict=True) if is_ != wanted]
    assert wrong == []


def depth() -> int:
    frame, found = sys._getframe(), 0
    while frame.f_back is not None:
        frame, found = frame.f_back, found + 1
    return found


def at_depth(frames: int, then: Callable[[], Any]) -> Any:
    return then() if frames <= 0 else at_depth(frames - 1, then)


def test_how_deep_the_caller_stands_changes_no_verdict() -> None:
    spare = NESTING_MAX + 50
    assert at_depth(sys.getrecursionlimit() - depth() - spare, verdicts) == WANTED


def test_a_limit_of_the_interpreter_changes_no_verdict() -> None:
    recursion, digits = sys.getrecursionlimit(), sys.get_int_max_str_digits()
    try:
        for more, most in ((depth() + NESTING_MAX + 50, 640), (100_000, 0)):
            sys.setrecursionlimit(more)
            sys.set_int_max_str_digits(most)
            assert verdicts() == WANTED
    finally:
        sys.setrecursionlimit(recursion)
        sys.set_int_max_str_digits(digits)


@pytest.mark.parametrize("value", NUMBERED)
def test_what_is_numbered_can_be_moved_and_is_judged_the_same_again(value: bytes) -> None:
    moved = decode_record(mark_moved(value))
    found = decode_record(value)
    if isinstance(found, MessageRecord):
        found = found._replace(moved=True)
    assert moved == found


texts = st.text(st.sampled_from('[]{}",\\:a🎉\n'), max_size=8)
shallow = st.recursive(
    texts | st.integers(), lambda x: st.lists(x) | st.dictionaries(texts, x), max_leaves=8
)


@pytest.mark.thorough
@settings(max_examples=40)
@given(st.integers(1, 2 * NESTING_MAX), st.randoms(use_true_random=False), shallow, st.booleans())
def test_nesting_is_counted_as_a_parser_meets_it(
    levels: int, chance: Any, inside: object, ascii_only: bool
) -> None:
    value = inside
    for _ in range(levels):
        value = [value, "]"] if chance.random() < 0.5 else {"}[": value, "{": [1]}
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert is_nested_too_deeply(text) == (nesting(value) > NESTING_MAX)


def nesting(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(nesting, value.values()), default=0)
        case list():
            return 1 + max(map(nesting, value), default=0)
        case _:
            return 0


@pytest.mark.parametrize("levels", [NESTING_MAX, 960, 100_000])
def test_an_event_that_is_nested_too_deeply_is_malformed(levels: int) -> None:
    with pytest.raises(MalformedEvent, match="nested"):
        decode_events(b'[{"type": "marker", "later": ' + arrays(levels) + b"}]")
