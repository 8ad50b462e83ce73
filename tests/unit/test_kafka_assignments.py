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
    first = assignments.unchecked
    assert first.keys() == {0, 1}
    assignments.check({0: first[0]}, {0: 5}, {})
    assert assignments.unchecked.keys() == {1}
    assert assignments.committed == {0: 5}
    assignments.revoke([0, 1])
    assert not assignments.unchecked
    assert assignments.committed == {}
    assignments.check({1: first[1]}, {1: 3}, {})  # it went while it was being checked
    assert assignments.committed == {}
    assignments.assign([0, 1])
    assignments.check(first, {0: 5, 1: 3}, {0: "the check of an assignment that has ended"})
    assert assignments.unchecked.keys() == {0, 1}
    assert not assignments.is_open(0)


def test_a_partition_that_stops_stays_assigned_until_it_goes() -> None:
    assignments = Assignments()
    assignments.assign([0, 1, 2])
    assignments.check(assignments.unchecked, dict.fromkeys(range(3), 5), {0: "the log was cut"})
    assignments.stop(1, "a contradiction")
    assignments.stop(7, "not ours")
    assert assignments.stopped == {0: "the log was cut", 1: "a contradiction"}
    assert assignments.partitions == {0, 1, 2}
    assert [assignments.is_open(partition) for partition in range(3)] == [False, False, True]
    assignments.revoke([1])
    assignments.assign([1])
    assert assignments.stopped == {0: "the log was cut"}
    assignments.check(assignments.unchecked, {1: 5}, {})
    assert assignments.is_open(1)


def test_what_the_check_finds_is_the_cause_that_is_given() -> None:
    assignments = Assignments()
    assignments.assign([0, 1])
    for partition in (0, 1):
        assignments.stop(partition, "the library's words")
    assert assignments.stopped == {}
    assert not assignments.is_open(0)
    assignments.check(assignments.unchecked, {0: -1, 1: 5}, {0: "no offset is committed"})
    assert assignments.stopped == {0: "no offset is committed", 1: "the library's words"}


def test_what_is_assigned_is_unknown_once_it_is_lost() -> None:
    assignments = Assignments()
    known = [assignments.are_known]
    for change, partitions in (
        (assignments.assign, []),
        (assignments.assign, [0]),
        (assignments.revoke, [0]),
        (assignments.lose, []),
    ):
        change(partitions)
        known.append(assignments.are_known)
    assert known == [False, True, True, True, False]


def test_what_is_lost_is_not_assigned_any_more() -> None:
    assignments = Assignments()
    assignments.assign([0, 1])
    assignments.hand_out()
    assignments.lose([1])
    assert assignments.partitions == {0}
    assert assignments.committable(places((0, 9), (1, 4))) == {0: 10}


def test_what_is_committed_is_where_it_goes_on() -> None:
    assignments = Assignments()
    assignments.assign([0])
    assignments.check(assignments.unchecked, {0: 5}, {})
    assignments.hand_out()
    assignments.commit(assignments.committable(places((0, 7))) | {1: 3})  # 1 went meanwhile
    assert assignments.committed == {0: 8}
