"""`chat4all.client` against the suite, and its mutants, which have to be found."""

import pytest

from tests.conformance.data import LONGER, scenarios
from tests.conformance.python_client import driver
from tests.conformance.running import found_out, play

pytestmark = pytest.mark.anyio

SCENARIOS = scenarios()

FAILS_IN = {
    "new-id": ["lost_answer", "not_accepted"],
    "position-first": ["taken_when_the_next_is_asked_for"],
    "no-positions": ["resume_after_a_break"],
    "refresh-each": ["five_calls_one_refresh"],
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in SCENARIOS],
)
async def test_the_client_passes(name: str) -> None:
    await play(SCENARIOS[name], driver())


@pytest.mark.parametrize("mutant", FAILS_IN)
async def test_a_mutant_is_found(mutant: str) -> None:
    names = FAILS_IN[mutant]
    assert [*await found_out(driver(mutant), names)] == names
