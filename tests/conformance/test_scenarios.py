"""The suite itself: the reference driver passes every scenario."""

import pytest

from tests.conformance.data import scenarios
from tests.conformance.reference.program import reference
from tests.conformance.running import play

pytestmark = pytest.mark.anyio

SCENARIOS = scenarios()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_reference_passes(name: str) -> None:
    await play(SCENARIOS[name], reference())
