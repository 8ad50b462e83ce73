"""What a member of the routers' group takes, and how long it waits for it by a test's clock."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from chat4all.adapters.kafka import group_member
from chat4all.adapters.kafka.group_member import (
    BYTES_MAX,
    CHECK_SECONDS,
    GATHER_SECONDS,
    SLICE_SECONDS,
    TAKE_SECONDS,
    GroupMember,
)
from chat4all.domain.errors import Unavailable
from chat4all.ports.log import FEW_MAX
from tests.clocks import Clock
from tests.unit.test_kafka_member import Playing, checked, failing, playing

WAIT_SECONDS = 1.0

COST_SECONDS = 0.001
"""How long it takes to take one message that is there."""


class Arriving(Playing):
    """A library to which a message comes at each of these times, in seconds from now."""

    def __init__(self, clock: Clock, *after: float) -> None:
        super().__init__()
        self._clock = clock
        self._times = [clock.now + seconds for seconds in after]

    def poll(self, seconds: float) -> Message | None:
        assert 0 <= seconds <= SLICE_SECONDS
        until = self._clock.now + seconds
        if not self._times or self._times[0] > until:
            self._clock.now = until
            return None
        self._clock.now = max(self._clock.now, self._times.pop(0)) + COST_SECONDS
        return Message("t", 0, 1, b"", b"x")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(group_member, "time", SimpleNamespace(monotonic=clock))
    return clock


def taking(clock: Clock, *after: float, were: int = FEW_MAX + 1) -> GroupMember:
    """Return a member that took so many messages the last time."""
    member, _ = playing()
    member._were = were
    member._consumer = Arriving(clock, *after)  # type: ignore[assignment]
    checked(member, 0)
    return member


def took(member: GroupMember, clock: Clock) -> tuple[float, int]:
    """Return how long the member waited, in seconds, and how many messages it has then."""
    before = clock.now
    is_any = member.take(100, WAIT_SECONDS)
    count = len(member._taken)
    assert is_any == (count > 0)
    return clock.now - before, count


@pytest.mark.parametrize(
    ("after", "seconds", "count"),
    [
        ([], WAIT_SECONDS, 0),
        ([0.5], 0.5 + GATHER_SECONDS, 1),
        ([0.5, 0.504, 0.7], 0.5 + GATHER_SECONDS, 2),
        ([0.25] * 100, 0.25 + TAKE_SECONDS, TAKE_SECONDS / COST_SECONDS),
    ],
    ids=["none", "one", "some", "many"],
)
def test_a_batch_waits_for_its_first_message_and_hardly_for_others(
    clock: Clock, after: list[float], seconds: float, count: float
) -> None:
    """Fails when one message waits for more, or when a crowd makes a batch of each."""
    member = taking(clock, *after)
    waited, found = took(member, clock)
    assert waited == pytest.approx(seconds, abs=2 * COST_SECONDS)
    assert found == pytest.approx(count, abs=1 if count > 2 else 0)


@pytest.mark.parametrize("after", [[0.5], [0.5, 0.504, 0.7]])
def test_where_messages_are_few_none_waits_for_another(clock: Clock, after: list[float]) -> None:
    """Fails when each message of a quiet system is held up for others that do not come."""
    member = taking(clock, *after, were=FEW_MAX)
    waited, found = took(member, clock)
    assert waited == pytest.approx(0.5 + COST_SECONDS)
    assert found == 1


def test_what_is_there_already_is_one_batch_after_few_as_well(clock: Clock) -> None:
    member = taking(clock, *[0.5] * 20, were=1)
    assert took(member, clock)[1] == 20
    member._taken.clear()
    member._consumer = Arriving(clock, 0.0, 0.004)  # type: ignore[assignment]
    assert took(member, clock)[1] == 2


def test_what_came_while_the_last_batch_was_routed_waits_hardly_at_all(clock: Clock) -> None:
    member = taking(clock, *[0.0] * (FEW_MAX + 1))
    member.take(FEW_MAX + 1, WAIT_SECONDS)
    assert took(member, clock)[0] == pytest.approx(GATHER_SECONDS)
    crowd = taking(clock, *[0.0] * 100)
    crowd.take(FEW_MAX + 1, WAIT_SECONDS)
    assert took(crowd, clock)[0] == pytest.approx(TAKE_SECONDS, abs=2 * COST_SECONDS)


def test_a_new_assignment_waits_for_its_check_and_not_for_messages(clock: Clock) -> None:
    """Fails when conversations stand still for a second after each change of the group."""
    member = taking(clock)
    member._on_assign(member._consumer, [TopicPartition("t", 1)])
    assert took(member, clock)[0] == pytest.approx(CHECK_SECONDS)
    assert not member._paused  # it would be fetched again only after a second


def test_serving_waits_for_nothing_and_keeps_what_comes(clock: Clock) -> None:
    """Fails when a busy router is silent, and so loses its partitions, or loses a message."""
    member = taking(clock, 0.0)
    member.serve()
    assert [record.value for record in member.hand_out(10).records] == [b"x"]
    before = clock.now
    member.serve()
    assert clock.now == before


def test_an_error_that_passes_takes_no_records_along() -> None:
    """Fails when records that came before it are skipped: they would be lost."""
    member, _ = playing(Message("t", 0, 1, b"", b"x"), failing(KafkaError._TRANSPORT))
    checked(member, 0)
    member.take(10, 0.01)
    assert [record.value for record in member.hand_out(10).records] == [b"x"]
    with pytest.raises(Unavailable):
        member.hand_out(10)


def test_nothing_is_kept_of_a_partition_that_has_stopped() -> None:
    """Fails when it fills the memory for as long as the partition stays assigned."""
    member, _ = playing(*(Message("t", 0, n, b"", b"x") for n in range(3)))
    checked(member, 0)
    member.take(2, 0.01)
    member.assignments.stop(0, "a contradiction")
    assert not member.hand_out(10).records
    assert member._taken == member._held == []


def test_large_messages_are_not_held_without_bound_until_a_check() -> None:
    large = bytes(BYTES_MAX // 2 + 1)
    member, library = playing(*(Message("t", 0, n, b"", large) for n in range(2)))
    member._on_assign(library, [TopicPartition("t", 0)])  # type: ignore[arg-type]
    member.take(10, 0.01)
    member.take(10, 0.01)
    assert library.paused == {0}
