"""Every client ends with exactly what the store has, in order, and is told nothing twice.

And nobody is told anything of a conversation that they are not in.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.scenario import WHAT, live_through, random_steps

STEPS = st.lists(
    st.tuples(st.sampled_from(WHAT), st.integers(0, 5), st.integers(0, 7)), max_size=60
)


@pytest.mark.thorough
@settings(max_examples=60)
@given(STEPS, st.integers(0, 1_000))
def test_every_client_ends_with_exactly_what_the_store_has(
    steps: list[tuple[str, int, int]], seed: int
) -> None:
    live_through(steps, seed)


@pytest.mark.thorough
def test_the_same_of_lives_at_random() -> None:
    for seed in range(60):
        live_through(random_steps(seed), seed)
