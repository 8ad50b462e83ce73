"""The JavaScript client passes the suite, and with a defect it does not."""

import pytest

from tests.conformance.data import LONGER, scenarios
from tests.conformance.running import CommandDriver, play
from tests.javascript.node import NODE

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

COMMAND = [NODE, "tests/conformance/javascript.mjs"]
# A page is not told the answer that refuses a handshake.
SCENARIOS = scenarios(without={"handshake_status"})

FOUND_IN = {
    "new-id": ("lost_answer", "not_accepted"),
    "position-first": ("taken_when_the_next_is_asked_for",),
    "no-positions": ("resume_after_a_break",),
    "refresh-each": ("five_calls_one_refresh",),
    "waits-for-tokens": ("token_due_and_no_answer",),
    "unbounded": ("slow_reader",),
    "shows-gaps": ("gap", "gap_before_a_change"),
}

CASES = [(mutant, name) for mutant, names in FOUND_IN.items() for name in names]


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_client_passes(name: str) -> None:
    await play(SCENARIOS[name], CommandDriver(COMMAND))


@pytest.mark.parametrize(("mutant", "name"), CASES)
async def test_a_mutant_is_found(mutant: str, name: str) -> None:
    seconds = 9.0 if name in LONGER else 5.0
    with pytest.raises(AssertionError, match=name) as found:
        await play(SCENARIOS[name], CommandDriver([*COMMAND, "--mutant", mutant]), seconds=seconds)
    assert "ended with the status" not in str(found.value)
