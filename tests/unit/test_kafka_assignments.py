"""Which partitions are assigned, and which offsets may be committed, without a broker."""

from chat4all.adapters.kafka.assignments import Assignments
from chat4all.domain.ids import LogPosition


def places(*items: tuple[int, int]) -> list[LogPosition]:
    return [LogPosition(0, partition, offset) for partition, offset in items]


def test_a_partition_that_comes_back_has_another_number_and_one_that_stayed_has_not() -> None:
    assignments = Assignments()
    assignments.assign([0, 1])
    before = assignments.hand_out()
    assignments.revoke([1])
    assert assignments.hand_out() == {0: before[0]}
    assert assignments.number_of(1) is None
    assignments.assign([1])
    assert assignments.number_of(0) == before[0]
    assert assignments.number_of(1) not in {None, *before.values()}
    assert assignments.partitions == {0, 1}


def test_only_partitions_that_are_assigned_as_they_were_are_committed() -> None:
    """Fails when what was another router's meanwhile is committed (EXACTNESS 2, 12b)."""
    assignments = Assignments()
    assignments.assign([0, 1, 2])
    assignments.hand_out()
    assert assignments.committable(places((0, 9), (1, 4))) == {0: 10, 1: 5}
    assignments.revoke([1, 2])
    assignments.assign([2])
    assert assignments.committable(places((0, 9), (1, 4), (2, 7))) == {0: 10}
    assignments.hand_out()
    assert assignments.committable(places((1, 4), (2, 7))) == {2: 8}


def test_nothing_is_committed_of_partitions_that_nothing_was_handed_out_of() -> None:
    assignments = Assignments()
    assignments.assign([0])
    assert assignments.committable(places((0, 9))) == {}


def test_each_assignment_is_checked_once() -> None:
    assignments = Assignments()
    assignments.assign([0, 1])
    assert assignments.unchecked == {0, 1}
    assignments.check({0: 5})
    assert assignments.unchecked == {1}
    assert assignments.committed == {0: 5}
    assignments.revoke([0, 1])
    assert assignments.unchecked == set()
    assert assignments.committed == {}
    assignments.check({1: 3})  # it went while it was being checked
    assert assignments.committed == {}
    assignments.assign([0])
    assert assignments.unchecked == {0}


def test_what_is_committed_is_where_it_goes_on() -> None:
    assignments = Assignments()
    assignments.assign([0])
    assignments.check({0: 5})
    assignments.hand_out()
    assignments.commit(assignments.committable(places((0, 7))))
    assert assignments.committed == {0: 8}
