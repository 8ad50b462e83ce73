"""The contract of `ports.dead_letters`."""

import time
from dataclasses import replace

import pytest

from chat4all.domain.ids import LogPosition
from chat4all.domain.records import DeadLetter
from chat4all.ports.dead_letters import DeadLetters, DeadLetterSink

pytestmark = pytest.mark.anyio

LETTERS = [
    DeadLetter(LogPosition(0, p, o), "no JSON", b"\xff\0", b"{\xff\0")
    for o, p in [(0, 1), (5, 0), (7, 0), (4, 1)]
]
HEADERS = (("traceparent", b"00-1"), ("x", b"\xff\0"), ("x", b""), ("x", None))


def without_times(letter: DeadLetter) -> DeadLetter:
    return replace(letter, put_aside_ms=None, replayed_ms=None)


async def test_dead_letters_keep_their_bytes_and_order(
    sink: DeadLetterSink, letters: DeadLetters
) -> None:
    before = time.time()
    await sink.add(LETTERS)
    after = time.time()
    again = DeadLetter(LETTERS[0].log_position, "another cause", b"", b"")
    await sink.add([again])
    in_order = sorted(LETTERS, key=lambda x: x.log_position)
    found = await letters.all(10)
    assert [without_times(x) for x in found] == in_order
    times = [x.put_aside_ms / 1_000 for x in found if x.put_aside_ms is not None]
    assert len(times) == len(LETTERS)
    assert before - 0.001 <= min(times) <= max(times) <= after + 0.001
    for limit in (2, 3):
        assert await letters.all(limit) == found[:limit]
    for n, letter in enumerate(in_order, start=1):
        assert await letters.all(10, after=letter.log_position) == found[n:]
    assert await letters.get(in_order[1].log_position) == found[1]
    assert await letters.get(LogPosition(0, 0, 6)) is None


async def test_a_replayed_letter_says_as_which_record(
    sink: DeadLetterSink, letters: DeadLetters
) -> None:
    await sink.add(LETTERS)
    for by in (LogPosition(0, 0, 11), LogPosition(0, 0, 12)):
        await letters.replayed(LETTERS[1].log_position, by)
        found = await letters.get(LETTERS[1].log_position)
        assert found is not None
        assert found.replayed_by == by
        assert found.replayed_ms is not None
        # What it says may be in a message that is deleted later (EXACTNESS 27).
        assert (found.value, found.cause, found.key) == (b"", "no JSON", LETTERS[1].key)
    # Kept again, as a router does that was stopped after it: the mark stays.
    await sink.add(LETTERS)
    assert [x.replayed_by for x in await letters.all(10)] == [
        LogPosition(0, 0, 12),
        None,
        None,
        None,
    ]


async def test_dead_letters_keep_the_headers_of_their_records(
    sink: DeadLetterSink, letters: DeadLetters
) -> None:
    await sink.add([replace(LETTERS[0], headers=HEADERS), LETTERS[1]])
    found = {x.log_position: x.headers for x in await letters.all(10)}
    assert found == {LETTERS[0].log_position: HEADERS, LETTERS[1].log_position: ()}
    await letters.replayed(LETTERS[0].log_position, LogPosition(0, 0, 11))
    one = await letters.get(LETTERS[0].log_position)
    assert one is not None
    assert one.headers == HEADERS
