"""Which offsets are sent to Kafka, and what becomes of them, without a broker."""

from confluent_kafka import KafkaError, TopicPartition

from chat4all.adapters.kafka.commits import ANSWER_SECONDS, RETRY_SECONDS, Commits
from tests.clocks import Clock


def places(offsets: dict[int, int]) -> list[TopicPartition]:
    return [TopicPartition("t", *item) for item in offsets.items()]


def test_what_is_added_while_a_request_is_unanswered_goes_with_the_next() -> None:
    commits = Commits(Clock(0.0))
    assert commits.to_send() == {}
    commits.add({0: 5})
    assert commits.to_send() == {0: 5}
    commits.add({0: 8, 1: 3})
    commits.add({0: 9})
    assert commits.to_send() == {}
    assert commits.report(None, places({0: 5})) == {0: 5}
    assert commits.to_send() == {0: 9, 1: 3}
    assert commits.report(None, places({0: 9, 1: 3})) == {0: 9, 1: 3}
    assert not commits.are_pending
    assert commits.to_send() == {}


def test_a_request_that_fails_is_sent_again_with_what_came_meanwhile() -> None:
    clock = Clock()
    commits = Commits(clock)
    commits.add({0: 5})
    commits.to_send()
    commits.add({0: 6})
    error = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)
    assert commits.report(error, places({0: 5})) == {}
    assert commits.error is error
    assert commits.to_send() == {}
    clock.now += RETRY_SECONDS
    assert commits.to_send() == {0: 6}
    assert commits.report(None, places({0: 6})) == {0: 6}
    assert commits.error is None


def test_a_request_that_is_never_answered_is_given_up_and_its_late_answer_ignored() -> None:
    clock = Clock()
    commits = Commits(clock)
    commits.add({0: 5})
    commits.to_send()
    commits.add({0: 7})
    clock.now += ANSWER_SECONDS
    assert commits.to_send() == {0: 7}
    assert commits.report(None, places({0: 5})) == {}
    assert commits.are_pending
    assert commits.report(None, places({0: 7})) == {0: 7}


def test_what_is_revoked_is_no_longer_committed_nor_confirmed() -> None:
    """Fails when a late report passes for a commit of the next assignment (EXACTNESS 2)."""
    commits = Commits(Clock())
    commits.add({0: 5, 1: 5})
    commits.to_send()
    assert commits.drop([1, 2]) == {1: 5}
    assert commits.report(None, places({0: 5, 1: 5})) == {0: 5}
    assert not commits.are_pending


def test_how_long_nothing_was_confirmed() -> None:
    clock = Clock()
    commits = Commits(clock)
    clock.now += 100
    assert commits.waited_seconds == 0
    commits.add({0: 5})
    clock.now += 3
    commits.to_send()
    commits.add({0: 6})
    assert commits.waited_seconds == 3
    commits.report(None, places({0: 5}))
    assert commits.waited_seconds == 0  # Kafka answers, though there is more to confirm
    clock.now += 2
    assert commits.waited_seconds == 2
