"""A member of the routers' group on a library that a test plays, without a broker."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from chat4all.adapters.kafka import group_member
from chat4all.adapters.kafka.group_member import (
    BYTES_MAX,
    HELD_MAX,
    TAKE_SECONDS,
    GroupMember,
)
from chat4all.domain.errors import RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import Epoch, LogRecord
from chat4all.ports.log import FEW_MAX

EPOCH = Epoch(3, "chat_messages", "an id", 4)


def checked(member: GroupMember, *partitions: int) -> None:
    """Assign partitions to a member, their offsets checked."""
    member.assignments.assign(partitions)
    unchecked = member.assignments.unchecked
    member.assignments.check(unchecked, dict.fromkeys(unchecked, 0), {})


class Flooding:
    """A library that always has one more message."""

    def __init__(self, size: int, seconds: float = 0) -> None:
        self.message = Message("t", 0, 1, b"", bytes(size))
        self.seconds = seconds

    def poll(self, _: float) -> Message:
        time.sleep(self.seconds)
        return self.message

    def pause(self, _: object) -> None:
        """Nothing is."""

    resume = pause


@pytest.mark.parametrize(
    ("flood", "limit", "count"),
    [
        (Flooding(10), 500, 500),
        (Flooding(100_000), 500, BYTES_MAX // 100_000 + 1),
        (Flooding(10, seconds=TAKE_SECONDS / 4), 500, 5),
    ],
    ids=["count", "bytes", "time"],
)
def test_a_batch_is_bounded(flood: Flooding, limit: int, count: int) -> None:
    member = GroupMember(EPOCH, {})
    member._consumer = flood  # type: ignore[assignment]
    checked(member, 0)
    member.take(limit, 1.0)
    assert 1 <= len(member.hand_out(limit).records) <= count


def test_what_was_taken_before_a_partition_went_is_not_handed_out() -> None:
    """Fails when it is kept by the partition's number alone (against EXACTNESS 2)."""
    member = GroupMember(EPOCH, {})
    member._consumer = Flooding(10)  # type: ignore[assignment]
    checked(member, 0)
    member.take(5, 1.0)
    member.assignments.revoke([0])
    checked(member, 0)
    assert not member.hand_out(5).records
    member.take(5, 1.0)
    assert len(member.hand_out(5).records) == 5


class BrokenHeaders(Message):
    """A message with a header whose name is not UTF-8, as the library reports it."""

    asked = 0

    def headers(self) -> list[tuple[str, str | bytes | None]] | None:
        self.asked += 1
        assert self.asked == 1, "the library crashes when it is asked again"
        raise SystemError("returned a result with an exception set")


def test_headers_that_cannot_be_read_do_not_stop_the_router() -> None:
    """Fails when the records taken with it are lost, or none is ever handed out."""
    sent: list[tuple[str, str | bytes | None]] = [("trace", b"1"), ("empty", None)]
    member = GroupMember(EPOCH, {})
    checked(member, 0)
    member._taken = [
        (1, Message("t", 0, 1, b"", b"one", sent)),
        (1, BrokenHeaders("t", 0, 2, b"", b"two")),
        (1, Message("t", 0, 3, b"", b"three")),
    ]
    records = [*member.hand_out(2).records, *member.hand_out(2).records]
    assert [(record.value, list(record.headers)) for record in records] == [
        (b"one", sent),
        (b"two", []),
        (b"three", []),
    ]


class Playing:
    """A library that returns these messages, one after another, and notes what is asked of it."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.paused: set[int] = set()
        self.requests: list[dict[int, int]] = []
        self.is_closed = False

    def poll(self, _: float) -> Message | None:
        return self.messages.pop(0) if self.messages else None

    def pause(self, places: list[TopicPartition]) -> None:
        self.paused |= {place.partition for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self.paused -= {place.partition for place in places}

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert asynchronous
        assert {place.topic for place in offsets} == {EPOCH.topic}
        self.requests.append({place.partition: place.offset for place in offsets})

    def close(self) -> None:
        self.is_closed = True


def playing(*messages: Message) -> tuple[GroupMember, Playing]:
    member = GroupMember(EPOCH, {"group.instance.id": "a-name"})
    library = Playing(*messages)
    member._consumer = library  # type: ignore[assignment]
    return member, library


def failing(code: int, partition: int = 0, text: str = "") -> Message:
    return Message("t", partition, error=KafkaError(code, text or None))


CUT = KafkaError._LOG_TRUNCATION
AWAY = KafkaError._TRANSPORT
FENCED = "Static consumer fenced by other consumer with same group.instance.id"


def test_an_error_that_passes_hides_no_contradiction() -> None:
    """Fails when one place is for both: the alarm is lost, and the partition silently stands."""
    member, _ = playing(failing(CUT, 1, "it was cut"), failing(AWAY), failing(AWAY))
    checked(member, 0, 1)
    for _ in range(2):
        member.take(10, 0.01)
        with pytest.raises(Unavailable):
            member.hand_out(10)
    assert member.hand_out(10).stopped == {1: "chat_messages: Kafka: it was cut"}


def test_nothing_hides_a_fatal_error() -> None:
    member, _ = playing(failing(KafkaError._FATAL, text=FENCED), failing(AWAY), failing(CUT))
    checked(member, 0)
    member._taken = [(1, Message("t", 0, 1, b"", b"one"))]
    for _ in range(3):
        member.take(10, 0)
        member.serve()
        with pytest.raises(RouterStopped, match="another router runs under the name a-name"):
            member.hand_out(10)


def test_what_stopped_is_paused_and_the_rest_goes_on() -> None:
    member, library = playing(Message("t", 1, 4, b"", b"x"), Message("t", 0, 7, b"", b"y"))
    checked(member, 0, 1)
    member.take(10, 0)
    member.assignments.stop(1, "a contradiction")
    poll = member.hand_out(10)
    assert [record.value for record in poll.records] == [b"y"]
    assert poll.stopped == {1: "a contradiction"}
    member.take(10, 0)
    assert library.paused == {1}
    member.serve()  # while the router is busy
    assert library.paused == {0, 1}
    member.take(10, 0)
    assert library.paused == {1}


def test_nothing_is_handed_out_before_its_offset_is_checked() -> None:
    """And then in its order; meanwhile the other partitions go on."""
    member, library = playing(*(Message("t", n % 2, n, b"", b"%d" % n) for n in range(8)))
    checked(member, 1)
    member._on_assign(library, [TopicPartition("t", 0)])  # type: ignore[arg-type]
    member._were = FEW_MAX + 1  # many come: one that is held ends no batch
    member.take(2, 1)
    assert [record.value for record in member.hand_out(10).records] == [b"1", b"3"]
    member.assignments.check(member.assignments.unchecked, {0: 0}, {})
    member.take(10, 0.01)
    poll = member.hand_out(10)
    by_partition = [
        [r.value for r in poll.records if r.log_position.partition == n] for n in range(2)
    ]
    assert by_partition == [[b"0", b"2", b"4", b"6"], [b"5", b"7"]]
    assert library.paused == set()


def test_what_is_held_until_a_check_is_bounded() -> None:
    """Fails when a check that takes long fills the memory."""
    member, library = playing(*(Message("t", 0, n, b"", b"x") for n in range(HELD_MAX + 1)))
    member._on_assign(library, [TopicPartition("t", 0)])  # type: ignore[arg-type]
    while library.messages:
        assert library.paused == set()
        member.take(10, 0.01)
    member.take(10, 0)
    assert library.paused == {0}
    member.assignments.check(member.assignments.unchecked, {0: 0}, {})
    assert len(member.hand_out(10_000).records) == HELD_MAX + 1
    member.take(10, 0)
    assert library.paused == set()


def test_a_commit_is_not_waited_for_until_it_takes_too_long() -> None:
    """Fails when the next batch waits for an answer (EXACTNESS 12b)."""
    member, library = playing()
    checked(member, 0)
    member.hand_out(10)
    for offset in range(3):
        member.commit([LogPosition(3, 0, offset)], 60)
    assert library.requests == [{0: 1}]
    with pytest.raises(Unavailable, match="has confirmed no commit for 0 s: it does not answer"):
        member.commit([LogPosition(3, 0, 3)], 0)
    member._on_commit(None, [TopicPartition("t", 0, 1)])
    assert member.assignments.committed == {0: 1}
    member.serve()
    assert library.requests == [{0: 1}, {0: 4}]


def test_what_is_not_committed_of_a_partition_that_goes_is_committed_before_it_has_gone() -> None:
    member, library = playing()
    checked(member, 0, 1)
    member.hand_out(10)
    member.commit([LogPosition(3, 0, 4), LogPosition(3, 1, 4)], 60)
    member.commit([LogPosition(3, 0, 9), LogPosition(3, 1, 9)], 60)
    member._on_revoke(library, [TopicPartition("t", 1)])  # type: ignore[arg-type]
    assert library.requests == [{0: 5, 1: 5}, {1: 10}]
    assert member.assignments.partitions == {0}
    # What is lost has another owner, who may have gone on already.
    member._on_lost(library, [TopicPartition("t", 0)])  # type: ignore[arg-type]
    assert len(library.requests) == 2
    assert not member.assignments.are_known


class Ending(Playing):
    """A library that answers the last commit, and takes the partitions of one that leaves."""

    def __init__(self, *, is_silent: bool = False) -> None:
        super().__init__()
        self.is_silent = is_silent
        self.has_left = False
        self.polls_left = 5
        """The group answers only after several."""
        self.member, _ = playing()
        self.member._consumer = self  # type: ignore[assignment]
        checked(self.member, 0, 1)
        self.member.hand_out(10)
        self.member.commit([LogPosition(3, 0, 4)], 60)

    def poll(self, seconds: float) -> Message | None:
        if self.messages:
            return super().poll(seconds)
        if not self.is_silent and self.requests and self.member._commits.are_pending:
            self.member._on_commit(None, [TopicPartition("t", 0, 5)])
        elif self.has_left and not self.is_silent:
            self.polls_left -= 1
        if self.polls_left == 0:
            places = [TopicPartition("t", 0), TopicPartition("t", 1)]
            self.member._on_revoke(self, places)  # type: ignore[arg-type]
        return None

    def unsubscribe(self) -> None:
        assert not self.is_closed
        self.has_left = True


@pytest.mark.parametrize("leaving", [False, True])
def test_what_was_routed_is_confirmed_before_a_member_ends(
    leaving: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it gives its partitions to others only when it does not come back."""
    monkeypatch.setattr(group_member, "LEAVE_SECONDS", 3_600)  # it does not wait that long
    library = Ending()
    library.member.close(leaving=leaving)
    assert not library.member._commits.are_pending
    assert library.has_left == leaving
    assert library.member.assignments.partitions == (set() if leaving else {0, 1})
    assert library.is_closed


def test_an_end_does_not_wait_for_ever_for_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_member, "LEAVE_SECONDS", 0.01)
    library = Ending(is_silent=True)
    library.member.close(leaving=True)
    assert library.has_left
    assert library.is_closed


def test_one_that_fails_for_good_while_it_ends_waits_for_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_member, "LEAVE_SECONDS", 3_600)
    library = Ending(is_silent=True)
    library.messages.append(failing(KafkaError._FATAL, text=FENCED))
    library.member.close(leaving=False)
    assert library.is_closed


def test_one_that_has_failed_for_good_asks_nothing_more_of_the_library() -> None:
    """The library would not answer; and what another router has by now is not ours to commit."""
    library = Ending(is_silent=True)
    library.member._take_error(KafkaError(KafkaError._FATAL, FENCED), None)
    assert library.member.is_fenced
    library.member.close(leaving=True)
    assert not library.has_left
    assert library.is_closed


@pytest.mark.parametrize(
    ("code", "is_fatal"),
    [
        (KafkaError.FENCED_INSTANCE_ID, False),
        (KafkaError._FATAL, False),
        (KafkaError._STATE, True),
    ],
)
def test_a_fatal_error_that_is_no_fencing_is_given_in_the_librarys_words(
    code: int, is_fatal: bool
) -> None:
    member, _ = playing()
    assert not member.is_fenced
    for text in ("the first", "the second"):
        member._take_error(KafkaError(code, text, fatal=is_fatal), None)
    assert not member.is_fenced
    with pytest.raises(RouterStopped, match="chat_messages: Kafka: the first"):
        member.hand_out(10)


def test_a_contradiction_of_no_partition_is_told_as_an_error_that_may_pass() -> None:
    member, _ = playing()
    member._take_error(KafkaError(CUT, "it was cut"), None)
    with pytest.raises(Unavailable, match="it was cut"):
        member.hand_out(10)
    assert not member.hand_out(10).stopped  # it is told once


def test_what_kafka_says_of_a_commit_is_told_with_the_time_that_it_took() -> None:
    member, library = playing()
    checked(member, 0)
    member.hand_out(10)
    member.commit([LogPosition(3, 0, 0)], 60)
    refused = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "not authorized")
    member._on_commit(refused, [TopicPartition("t", 0, 1)])
    with pytest.raises(Unavailable, match="no commit for 0 s: Kafka: not authorized"):
        member.commit([LogPosition(3, 0, 1)], 0)
    assert library.paused == {0}  # it was polled, for the answer to arrive


def test_a_commit_that_the_library_refuses_at_once_is_made_again() -> None:
    member, library = playing()
    checked(member, 0)
    member.hand_out(10)
    taken = library.commit

    def refuse(offsets: list[TopicPartition], asynchronous: bool) -> None:
        library.commit = taken  # type: ignore[method-assign]
        raise KafkaException(KafkaError(KafkaError._STATE, "rejoining"))

    library.commit = refuse  # type: ignore[method-assign]
    member.commit([LogPosition(3, 0, 0)], 60)
    assert library.requests == []
    with pytest.raises(Unavailable, match="rejoining"):
        member.commit([LogPosition(3, 0, 0)], 0)
    member._commits._send_again = 0.0
    member.serve()
    assert library.requests == [{0: 1}]


def test_a_record_is_what_its_message_was() -> None:
    class Stamped(Message):
        def timestamp(self) -> tuple[int, int]:
            return TIMESTAMP_LOG_APPEND_TIME, 1_700_000_000_000

    member, _ = playing(Stamped("t", 0, 7, b"key", b"value", [("trace", b"1")]), Message("t", 0, 8))
    checked(member, 0)
    member.take(2, 1.0)
    stamped, empty = member.hand_out(2).records
    place = LogPosition(EPOCH.number, 0, 7)
    headers = (("trace", b"1"),)
    assert stamped == LogRecord(place, b"key", b"value", 1_700_000_000_000, True, headers)
    assert empty._replace(appended_ms=0) == LogRecord(place._replace(offset=8), b"", b"", 0, False)


def test_a_limit_leaves_the_rest_for_the_next_batch() -> None:
    """Fails when a slow batch loses what was taken, or takes more while enough is there."""
    member, library = playing(*(Message("t", 0, n, b"", b"%d" % n) for n in range(5)))
    checked(member, 0)
    assert member.take(3, 1.0)
    assert [record.value for record in member.hand_out(2).records] == [b"0", b"1"]
    assert member.take(1, 1.0)
    assert len(library.messages) == 2
    assert [record.value for record in member.hand_out(2).records] == [b"2"]
    assert not member.hand_out(2).records


def test_a_message_of_a_partition_that_is_not_ours_any_more_is_passed_over() -> None:
    member, _ = playing(Message("t", 1, 1, b"", b"x"), Message("t", 0, 1, b"", b"y"))
    checked(member, 0)
    for _ in range(2):
        member.take(1, 0)
    assert [record.value for record in member.hand_out(10).records] == [b"y"]


def test_a_pause_that_kafka_does_not_take_is_made_again() -> None:
    member, library = playing()
    checked(member, 0)
    taken = library.pause

    def refuse(places: list[TopicPartition]) -> None:
        library.pause = taken  # type: ignore[method-assign]
        raise KafkaException(KafkaError(KafkaError._STATE, "not assigned yet"))

    library.pause = refuse  # type: ignore[method-assign]
    member.serve()
    assert library.paused == set()
    member.serve()
    assert library.paused == {0}


def test_a_pause_does_not_outlive_its_assignment() -> None:
    """Fails when a partition that comes back is not fetched: its conversations stand still."""
    member, library = playing()
    checked(member, 0, 1)
    member.serve()
    member._on_revoke(library, [TopicPartition("t", 0)])  # type: ignore[arg-type]
    assert library.paused == {1}
    member._on_lost(library, [TopicPartition("t", 1)])  # type: ignore[arg-type]
    assert library.paused == set()


def test_which_partitions_come_and_go_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, group_member.__name__)
    member, library = playing()
    places = [TopicPartition("t", n) for n in (2, 0)]
    for take in (member._on_assign, member._on_revoke, member._on_lost):
        take(library, places)  # type: ignore[arg-type]
    assert [(line.message, vars(line)["partitions"]) for line in caplog.records] == [
        (f"partitions {what}", [0, 2]) for what in ("assigned", "revoked", "lost")
    ]


def test_one_that_joins_is_told_what_it_gets_and_loses_and_what_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, configs, joined = Playing(), [], []

    def made(config: dict[str, Any]) -> Playing:
        configs.append(config)
        return library

    def subscribe(topics: list[str], **told: Callable[..., None]) -> None:
        joined.append((topics, told))

    library.subscribe = subscribe  # type: ignore[attr-defined]
    monkeypatch.setattr(group_member, "Consumer", made)
    member = GroupMember(EPOCH, {"group.id": "a-group"})
    member.subscribe()
    ((topics, told),) = joined
    assert topics == [EPOCH.topic]
    told["on_assign"](library, [TopicPartition("t", 0), TopicPartition("t", 1)])
    assert member.assignments.partitions == {0, 1}
    told["on_revoke"](library, [TopicPartition("t", 1)])
    assert member.assignments.partitions == {0}
    member.hand_out(10)
    member.commit([LogPosition(3, 0, 4)], 60)
    configs[0]["on_commit"](None, [TopicPartition("t", 0, 5)])
    assert member.assignments.committed == {0: 5}
    told["on_lost"](library, [TopicPartition("t", 0)])
    assert not member.assignments.are_known
