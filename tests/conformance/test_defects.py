"""The suite finds defects: the reference with one of them fails, where it should."""

import pytest

from tests.conformance.data import scenarios
from tests.conformance.reference.program import reference
from tests.conformance.running import play

pytestmark = pytest.mark.anyio

SCENARIOS = scenarios()

FOUND_IN = {
    "new-id": ("lost_answer", "not_accepted"),
    "position-first": ("taken_when_the_next_is_asked_for", "died_in_a_reload"),
    "no-positions": ("resume_after_a_break", "break_in_a_replay", "positions_in_many_frames"),
    "refresh-each": ("five_calls_one_refresh", "five_calls_one_get_token"),
    "shows-doubles": ("duplicates_at_the_seam", "seq_already_taken", "changes_in_a_row"),
    "shows-gaps": ("gap", "gap_before_a_change"),
    "shows-reloaded-again": ("reload",),
    "never-reloads": ("reload", "added_while_the_program_was_off"),
    "one-page": ("reload_of_many_pages", "history"),
    "keeps-generation": ("generation_changed", "generation_changed_live"),
    "connects-for-ever": ("not_understood_4400", "too_big_1009"),
    "never-waits": ("not_accepted", "too_many_requests", "try_later_1013", "handshake_refused"),
    "gives-up": ("not_accepted", "lost_answer", "changes_retried", "lost_answer_of_a_refresh"),
    "tries-all": ("refused",),
    "password-again": ("refresh_refused", "refresh_refused_live"),
    "never-renews": ("token_renewed_on_the_socket",),
    "waits-in-silence": ("silence",),
    "watches-once": ("typing_and_watching",),
    "unbounded": ("slow_reader",),
    "one-frame": ("positions_in_many_frames",),
    "old-generation": ("generation_changed",),
    "keeps-removed": ("removed_and_added",),
    "forgets-markers": ("own_markers",),
}

CASES = [(defect, name) for defect, names in FOUND_IN.items() for name in names]


@pytest.mark.parametrize(("defect", "name"), CASES)
async def test_a_defect_is_found(defect: str, name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        await play(SCENARIOS[name], reference(defect), seconds=5.0)
