"""Routers that are killed, frozen, restarted and ended hold up nobody for long (EXACTNESS 12b)."""

import random
import signal
import time
from collections.abc import Iterator

import pytest

from engines import CassandraNode, KafkaBroker
from tests.cluster.failover import Routers, measured, partitions_of, routers_on
from tests.cluster.services import PARTITIONS, Service
from tests.databases import Databases
from tests.faults.running import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engines,
    pytest.mark.alone,
    pytest.mark.timeout(240),
]

RESTARTED, OTHERS, OWN, ENDED = 3.0, 3.0, 12.0, 3.0
"""How long a conversation may stand still, in seconds."""


START = 1.5
"""Seconds in which a process starts on a machine that has the time for it."""


def restart(router: Service) -> float:
    """Start a router; return the seconds until it answers, whatever it answers."""
    began = time.monotonic()
    router.start()
    until(router.answers, 60)
    return time.monotonic() - began


def wait(seconds: float) -> None:
    """Let time pass where its passing is what is tested."""
    time.sleep(seconds)


def too_slow(started: float) -> float:
    """Return by how much a start was longer than it is where other things do not run beside it."""
    return max(0.0, started - START)


@pytest.fixture(scope="module")
def routers_of_all(
    tmp_path_factory: pytest.TempPathFactory,
    kafka: KafkaBroker,
    cassandra: CassandraNode,
    databases_of_all: Databases,
) -> Iterator[Routers]:
    folder = tmp_path_factory.mktemp("failover")
    with routers_on(folder, kafka, cassandra, databases_of_all) as found:
        yield found


@pytest.fixture
def on(routers_of_all: Routers) -> Iterator[Routers]:
    yield routers_of_all
    routers_of_all.end()


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.endurance)])
def test_routers_that_are_killed_and_restarted(on: Routers, times: int) -> None:
    first, *_ = on.start()
    slowest = 0.0
    for _ in range(times):
        first.kill()
        slowest = max(slowest, restart(first))
        until(lambda: bool(partitions_of(first)), 30)
        on.conversations.go_on()
    stood = on.conversations.stood_still()
    measured(f"killed and restarted, {times} times in a row", stood, RESTARTED + too_slow(slowest))


def test_a_router_that_is_killed_for_good(on: Routers) -> None:
    first, *others = on.start()
    own = partitions_of(first)
    first.kill()
    on.running = others
    on.conversations.go_on(60)
    until(lambda: sum(len(partitions_of(router)) for router in others) == PARTITIONS, 30)
    rest = set(range(PARTITIONS)) - own
    measured("killed for good, the others'", on.conversations.stood_still(rest), OTHERS)
    measured("killed for good, its own", on.conversations.stood_still(own), OWN)


@pytest.mark.parametrize("on_stop", ["leave", pytest.param("return", marks=pytest.mark.endurance)])
def test_a_rolling_restart(on: Routers, on_stop: str) -> None:
    routers = on.start(CHAT4ALL_ROUTER_ON_STOP=on_stop)
    slowest = 0.0
    for router in routers:
        assert router.stop() == 0
        slowest = max(slowest, restart(router))
        until(router.ready, 30)
        on.conversations.go_on()
    stood = on.conversations.stood_still()
    measured(f"rolling restart ({on_stop})", stood, ENDED + too_slow(slowest))


@pytest.mark.endurance  # as each one does in the rolling restart
def test_a_router_that_leaves(on: Routers) -> None:
    first, *others = on.start()
    assert first.stop() == 0
    on.running = others
    on.conversations.go_on()
    measured("leaving", on.conversations.stood_still(), ENDED)


def test_a_router_that_is_frozen_for_a_moment_keeps_its_partitions(on: Routers) -> None:
    first, *others = on.start()
    own, theirs = partitions_of(first), [partitions_of(router) for router in others]
    first.tell(signal.SIGSTOP)
    wait(5)
    first.tell(signal.SIGCONT)
    on.conversations.go_on()
    assert partitions_of(first) == own
    assert [partitions_of(router) for router in others] == theirs
    rest = set(range(PARTITIONS)) - own
    measured("frozen for 5 s, the others'", on.conversations.stood_still(rest), OTHERS)
    measured("frozen for 5 s, its own", on.conversations.stood_still(own), 5 + OTHERS)


def test_a_router_that_was_frozen_for_longer_than_its_session_undoes_nothing(on: Routers) -> None:
    first, *others = on.start()
    own = partitions_of(first)
    first.tell(signal.SIGSTOP)
    until(lambda: sum(len(partitions_of(router)) for router in others) == PARTITIONS, 60)
    on.conversations.go_on()
    measured("frozen for good, its own", on.conversations.stood_still(own), OWN)
    committed = on.committed()
    first.tell(signal.SIGCONT)
    until(lambda: bool(partitions_of(first)), 60)
    on.conversations.go_on()
    later = on.committed()
    assert all(later[partition] >= offset for partition, offset in committed.items())
    on.conversations.check()


def test_of_two_routers_of_one_name_the_older_one_waits_for_the_name(on: Routers) -> None:
    """It takes it once its owner is gone: it may have been itself, before a broker died."""
    (first,) = on.start(1, CHAT4ALL_ROUTER_NAME="one-and-the-same")
    second = on.cluster.service("router")
    second.environment |= {"CHAT4ALL_ROUTER_NAME": "one-and-the-same"}
    on.running.append(second.start())
    until(lambda: "another router runs under the name one-and-the-same" in on.trouble(first), 30)
    until(second.ready, 30)
    on.conversations.go_on()
    # It does not take the name back: longer than a member that was lost takes to join again.
    wait(3)
    assert second.ready()
    assert not first.ready()
    assert len(partitions_of(second)) == PARTITIONS
    on.conversations.go_on()
    measured("two of one name", on.conversations.stood_still(), 2 * RESTARTED)
    second.kill()
    on.running.remove(second)
    until(first.ready, 30)
    on.conversations.go_on()
    measured("the name is free", on.conversations.stood_still(), OWN + 3)
    until(lambda: len(partitions_of(first)) == PARTITIONS, 30)  # by its metrics, a little later


ENDURANCE_SECONDS = 180
SEED = 20_261_128


@pytest.mark.endurance
@pytest.mark.timeout(600)
def test_routers_that_are_killed_and_frozen_by_lot_for_minutes(on: Routers) -> None:
    """Up to two at a time; each is restarted at once, and nobody waits for anybody else's end."""
    print("seed", SEED)
    chance = random.Random(SEED)
    routers = on.start()
    ends, slowest, killed = time.monotonic() + ENDURANCE_SECONDS, 0.0, 0
    while time.monotonic() < ends:
        for router in chance.sample(routers, chance.choice([1, 1, 2])):
            if chance.random() < 0.2:
                router.tell(signal.SIGSTOP)
                wait(chance.uniform(0.1, 2.0))
                router.tell(signal.SIGCONT)
            else:
                router.kill()
                slowest = max(slowest, restart(router))
                killed += 1
        wait(chance.uniform(0.0, 2.0))
    on.conversations.go_on(60)
    stood = on.conversations.stood_still()
    # Two that are restarted one after the other, the first of them for the second time.
    measured(f"{killed} kills by lot", stood, 2 * RESTARTED + too_slow(slowest))
    on.conversations.check()
