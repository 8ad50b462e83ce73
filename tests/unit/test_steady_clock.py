"""Clocks that jump, and what must not be deleted meanwhile."""

from chat4all.adapters.sql.steady_clock import JUMP_SECONDS, STEADY_SECONDS, SteadyClock
from tests.clocks import Clock

DAY = 86_400.0


def test_a_clock_that_goes_on_is_steady() -> None:
    passed = Clock()
    clock = SteadyClock(passed)
    for _ in range(3):
        assert clock.is_steady(DAY + passed.now)
        passed.now += DAY
    assert clock.is_steady(DAY + passed.now - JUMP_SECONDS + 1)


def test_one_that_jumps_is_not_until_it_goes_on_from_there_for_long() -> None:
    passed = Clock()
    clock = SteadyClock(passed)
    assert clock.is_steady(passed.now)
    for ahead in (DAY, 0):  # and it is not by itself that it was set right
        passed.now += 60
        assert not clock.is_steady(passed.now + ahead)
        passed.now += STEADY_SECONDS - 1
        assert not clock.is_steady(passed.now + ahead)
    passed.now += 1
    assert clock.is_steady(passed.now)


def test_one_that_was_behind_is_steady_in_the_end() -> None:
    passed = Clock()
    clock = SteadyClock(passed)
    assert clock.is_steady(passed.now - DAY)
    assert not clock.is_steady(passed.now)
    passed.now += STEADY_SECONDS
    assert clock.is_steady(passed.now)
