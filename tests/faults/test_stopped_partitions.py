"""What cannot be carried out stops one partition, or is put aside; the others go on."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chat4all.domain.changes import ChangeHead
from chat4all.domain.errors import NotAccepted, OutcomeUnknown, RouterStopped, Unavailable
from chat4all.domain.events import LiveEvent
from chat4all.domain.ids import ConversationId, LogPosition
from chat4all.domain.messages import Head
from chat4all.domain.records import DeadLetter, Headers, LogRecord
from chat4all.ports.log import Poll
from chat4all.ports.store import (
    ChangeEntry,
    ChangeKey,
    ChangeRow,
    IdEntry,
    IdKey,
    NumberedRow,
    StoreBatch,
    Target,
    TargetKey,
)
from chat4all.router.loop import Router
from tests.records import CHATS, record

pytestmark = pytest.mark.anyio

FUTURE = record("from the future", v=99)


class Parts:
    """Everything that a router asks, for a log of one partition for each of `CHATS`."""

    def __init__(self, *values: tuple[int, bytes]) -> None:
        counts = dict.fromkeys(range(len(CHATS)), 0)
        self.records = []
        for partition, value in values:
            place = LogPosition(0, partition, counts[partition])
            counts[partition] += 1
            self.records.append(LogRecord(place, b"", value, 0, True))
        self.stopped: dict[int, str] = {}
        self.committed: dict[int, int] = {}
        self.contents: dict[str, list[str]] = {}
        self.letters: list[DeadLetter] = []
        self.appended: list[bytes] = []
        self.taken_most = 10_000
        """Bytes of a record that the log takes, or of a letter that is kept."""
        self.away = 0
        """How many appends are not confirmed yet."""
        self.router = Router(self, self, self.Letters(self), self, self, retry_first_seconds=0.001)

    # The log.

    async def poll(self, limit: int) -> Poll:
        records, self.records = self.records[:limit], self.records[limit:]
        if not records:
            self.router.stop()
        open_ones = [r for r in records if r.log_position.partition not in self.stopped]
        return Poll(open_ones, dict.fromkeys(range(len(CHATS)), 1), self.stopped)

    async def commit(self, through: Sequence[LogPosition]) -> None:
        for place in through:
            assert self.committed.get(place.partition, -1) < place.offset
            self.committed[place.partition] = place.offset

    def stop(self, partition: int, cause: str) -> None:
        self.stopped[partition] = cause

    def makes_fresh_ids(self) -> bool:
        return True

    def partition_of(self, conversation: ConversationId) -> int:
        return CHATS.index(conversation)

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise OutcomeUnknown("away")
        if len(value) > self.taken_most:
            raise NotAccepted("too large")
        self.appended.append(value)
        return LogPosition(0, 0, 0)

    # The store: what is written is read again by nobody, for every id is a new one.

    async def heads(self, conversations: Sequence[ConversationId]) -> Mapping[ConversationId, Head]:
        return {c: Head(len(self.contents[c]), BEFORE) for c in conversations if c in self.contents}

    async def find_ids(self, keys: Sequence[IdKey]) -> Mapping[IdKey, IdEntry]:
        return {}

    async def at_positions(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, NumberedRow]:
        return {}

    async def change_heads(
        self, conversations: Sequence[ConversationId]
    ) -> Mapping[ConversationId, ChangeHead]:
        return {}

    async def find_change_ids(self, keys: Sequence[ChangeKey]) -> Mapping[ChangeKey, ChangeEntry]:
        return {}

    async def changes_at(
        self, positions: Sequence[tuple[ConversationId, LogPosition]]
    ) -> Mapping[LogPosition, ChangeRow]:
        return {}

    async def targets(self, keys: Sequence[TargetKey]) -> Mapping[TargetKey, Target]:
        return {}

    async def write(self, batch: StoreBatch) -> None:
        for message in batch.messages:
            if message.content == "a defect":
                raise ZeroDivisionError
            if message.content == "a contradiction":
                raise RouterStopped("its number has another message")
        for message in batch.messages:
            self.contents.setdefault(message.conversation_id, []).append(message.content)

    # The feed.

    async def announce(self, events: Sequence[LiveEvent]) -> None:
        """Nobody listens."""

    class Letters:
        def __init__(self, parts: "Parts") -> None:
            self._parts = parts

        async def add(self, letters: Sequence[DeadLetter]) -> None:
            for one in letters:
                headers = sum(len(value or b"") for _, value in one.headers)
                if len(one.key) + len(one.value) + headers > self._parts.taken_most:
                    raise NotAccepted("too large")
            self._parts.letters += letters

    async def route(self) -> str:
        """Route all; return what the router says of itself then."""
        await self.router.run()
        try:
            await self.router.ping()
        except Unavailable as error:
            return str(error)
        return ""


BEFORE = LogPosition(0, 0, -1)


def said(partition: int, content: str) -> tuple[int, bytes]:
    return partition, record(content, chat=CHATS[partition])


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (FUTURE, "a record of version 99 is in the log"),
        (record("a contradiction", chat=CHATS[1]), "its number has another message"),
        (record("a defect", chat=CHATS[1]), "an unexpected error, see the log"),
    ],
    ids=["version", "contradiction", "defect"],
)
async def test_a_record_that_cannot_be_routed_stops_its_partition_alone(
    bad: bytes, why: str
) -> None:
    """Fails when others stop too, when what comes before it waits, or what follows does not."""
    parts = Parts(
        said(0, "a"), said(1, "b"), (1, bad), said(1, "not reached"), said(2, "c"), said(0, "d")
    )
    trouble = await parts.route()
    assert trouble.startswith("the router has stopped in 1 of its 4 partitions: partition 1: ")
    assert why in trouble
    assert parts.contents == {CHATS[0]: ["a", "d"], CHATS[1]: ["b"], CHATS[2]: ["c"]}
    assert parts.committed == {0: 1, 1: 0, 2: 0}
    assert parts.stopped.keys() == {1}
    assert parts.letters == []


async def test_what_follows_in_a_partition_that_stopped_is_not_routed_with_another_one() -> None:
    """Fails when a batch of two partitions is cut in the middle: the record would be skipped."""
    bad = record("a contradiction", chat=CHATS[1])
    parts = Parts(said(0, "a"), (1, bad), said(0, "b"), said(1, "not reached"))
    await parts.route()
    assert parts.contents == {CHATS[0]: ["a", "b"]}
    assert parts.committed == {0: 1}


async def test_later_polls_go_on_without_the_partition_that_has_stopped() -> None:
    parts = Parts(said(1, "a contradiction"), said(0, "a"), said(1, "not reached"), said(2, "c"))
    parts.router._poll_max = 1
    assert "partition 1: its number" in await parts.route()
    assert parts.contents == {CHATS[0]: ["a"], CHATS[2]: ["c"]}


async def test_what_concerns_the_whole_log_stops_the_router() -> None:
    parts = Parts(said(0, "a"))
    routed = parts.poll

    async def remade(limit: int) -> Poll:
        if not parts.records:
            raise RouterStopped("the topic was remade")
        return await routed(limit)

    parts.poll = remade  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        assert await parts.route() == "the router has stopped: the topic was remade"
    assert parts.contents == {CHATS[0]: ["a"]}


async def test_each_partition_that_stops_is_named_with_its_cause() -> None:
    parts = Parts(said(1, "a contradiction"), (2, FUTURE), said(0, "a"))
    trouble = await parts.route()
    assert trouble.startswith("the router has stopped in 2 of its 4 partitions: partition 1: ")
    assert "; partition 2: a record of version 99" in trouble


async def test_what_passes_hides_no_partition_that_has_stopped() -> None:
    """Fails when the alarm shares its place with errors that pass, or with a success."""
    parts = Parts(said(1, "a contradiction"), said(0, "a"))
    await parts.route()
    parts.router._trouble = "storing fails: Cassandra does not answer"
    with pytest.raises(Unavailable, match=r"partition 1: its number.*; storing fails"):
        await parts.router.ping()


async def test_a_record_that_is_too_large_to_be_moved_is_a_dead_letter() -> None:
    """Fails when it is tried for ever: every partition of its router then stands still."""
    large = record("x", chat=CHATS[1], padding="x" * 20_000)
    small = record("y", chat=CHATS[1])
    parts = Parts((0, large), (0, small), said(0, "a"), said(2, "b"))
    parts.away = 1  # a retry of the step, for another reason, changes nothing
    parts.taken_most = 30_000
    parts.records = [r._replace(key=b"k") for r in parts.records]
    parts.router._log = NarrowLog(parts)
    assert await parts.route() == ""
    (letter,) = parts.letters
    assert letter.log_position == LogPosition(0, 0, 0)
    assert (letter.key, letter.value) == (b"k", large)
    assert "cannot be moved: too large" in letter.cause
    assert [json.loads(value)["content"] for value in parts.appended] == ["y"]
    assert parts.committed == {0: 2, 2: 0}
    assert parts.contents == {CHATS[0]: ["a"], CHATS[2]: ["b"]}


class NarrowLog:
    """A log that refuses, as brokers do, everything that is sent together with what is too large.

    It takes less than the dead letters do.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._together: list[bytes] = []
        self.partition_of = parts.partition_of
        self.makes_fresh_ids = parts.makes_fresh_ids

    async def append(self, key: ConversationId, value: bytes, headers: Headers = ()) -> LogPosition:
        self._together.append(value)
        await asyncio.sleep(0)
        largest = max(map(len, self._together))
        await asyncio.sleep(0)
        self._together.clear()
        if largest > 10_000:
            raise NotAccepted("too large")
        return await self._parts.append(key, value, headers)


@pytest.mark.parametrize(
    "large", [{"key": b"k" * 20_000}, {"headers": (("h", b"x" * 20_000),)}], ids=["key", "headers"]
)
async def test_a_dead_letter_is_kept_whatever_makes_it_too_large(large: dict[str, Any]) -> None:
    """Fails when only a value is left out: its partition then stops, on each router in turn."""
    parts = Parts((0, b""), said(0, "a"))
    parts.records[0] = parts.records[0]._replace(**large)
    assert await parts.route() == ""
    assert (parts.letters[0].key, parts.letters[0].headers) == (b"", ())
    assert parts.committed == {0: 1}


async def test_a_dead_letter_that_is_too_large_is_kept_without_its_bytes() -> None:
    parts = Parts((0, b"?" * 20_000), (0, b"!"), said(0, "a"), said(1, "b"))
    assert await parts.route() == ""
    large, small = parts.letters
    assert (large.log_position.offset, large.value) == (0, b"")
    assert "only the log has its 20000 bytes" in large.cause
    assert (small.log_position.offset, small.value) == (1, b"!")
    assert parts.contents == {CHATS[0]: ["a"], CHATS[1]: ["b"]}
    assert parts.committed == {0: 2, 1: 0}
