"""A member of the routers' group on a library that a test plays, without a broker."""

import time

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from chat4all.adapters.kafka.group_member import BYTES_MAX, HELD_MAX, TAKE_SECONDS, GroupMember
from chat4all.domain.errors import RouterStopped, Unavailable
from chat4all.domain.ids import LogPosition
from chat4all.domain.records import Epoch

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

    def poll(self, _: float) -> Message | None:
        return self.messages.pop(0) if self.messages else None

    def pause(self, places: list[TopicPartition]) -> None:
        self.paused |= {place.partition for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self.paused -= {place.partition for place in places}

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert asynchronous
        self.requests.append({place.partition: place.offset for place in offsets})


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
    # What is lost has another owner, who may have gone on already.
    member._on_lost(library, [TopicPartition("t", 0)])  # type: ignore[arg-type]
    assert len(library.requests) == 2
    assert not member.assignments.are_known
