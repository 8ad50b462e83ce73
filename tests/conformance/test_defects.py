"""The suite finds defects: the reference with one of them fails, where it should, and for it."""

from dataclasses import replace

import pytest

from tests.conformance.data import scenarios
from tests.conformance.reference.program import reference
from tests.conformance.running import play

pytestmark = pytest.mark.anyio

SCENARIOS = scenarios()

FOUND_IN = {
    "new-id": {
        "lost_answer": "was tried with 3 ids",
        "not_accepted": "was tried with 3 ids",
    },
    "position-first": {
        "taken_when_the_next_is_asked_for": r"positions at the end are \{'@A': '2.0'",
        "died_in_a_reload": r"positions at the end are \{'@A': '5.0'",
    },
    "no-positions": {
        "resume_after_a_break": "resumes @A with None",
        "positions_in_many_frames": "resumes @A with None",
        "taken_when_the_next_is_asked_for": "resumes @A with None",
    },
    "refresh-each": {
        "five_calls_one_refresh": "refreshed with",
        "five_calls_one_get_token": "get_token was called 6 times",
    },
    "refresh-late": {"late_401": "refreshed with"},
    "no-backoff": {"backs_off": "tried everything within"},
    "wants-all": {"removed_while_reloading": "the loop over the events raised"},
    "shows-doubles": {
        "duplicates_at_the_seam": "expected was",
        "seq_already_taken": r"was told: \['created', '@A', 3, 'another'",
        "changes_in_a_row": r"was told: \['changed', '@A', 3, 'older'",
    },
    "shows-gaps": {
        "gap": r"was told: \['created', '@A', 6",
        "gap_before_a_change": r"was told: \['changed', '@A', 4",
    },
    "shows-reloaded-again": {"reload": r"was told: \['created', '@A', 6"},
    "never-reloads": {
        "reload": "expected was",
        "added_while_the_program_was_off": "was not told",
    },
    "one-page": {"reload_of_many_pages": "expected was", "history": "gave messages"},
    "keeps-generation": {"generation_changed": "the generation is 'g0'"},
    "old-generation": {"generation_changed": "positions of g0 are of g1"},
    "connects-for-ever": {
        "not_understood_4400": "a connection more",
        "too_big_1009": "a connection more",
    },
    "never-waits": {
        "not_accepted": "before its Retry-After",
        "too_many_requests": "before its Retry-After",
        "try_later_1013": "connected again in less than",
        "handshake_retry_after": "connected again in less than",
        "refused_on_the_socket": "came with 'watch' in less than",
    },
    "gives-up": {
        "not_accepted": "the action failed",
        "lost_answer": "the action failed",
        "changes_retried": "the action failed",
        "lost_answer_of_a_refresh": "the loop over the events raised",
    },
    "tries-all": {"refused": "tried 10 times|tried 2 times|'Unavailable'"},
    "password-again": {
        "refresh_refused": "'Result', not 'Failed'|signed in",
        "refresh_refused_live": "did not raise|a connection more",
    },
    "one-frame": {"positions_in_many_frames": "1009|closed the connection|a connection more"},
    "keeps-removed": {"removed_and_added": "resumes what it does not have"},
    "forgets-markers": {"own_markers": "was not told"},
    "unbounded": {"slow_reader": "took 200 messages"},
    # Found by the end of patience only.
    "never-renews": {"token_renewed_on_the_socket": "nothing has happened"},
    "waits-in-silence": {"silence": "nothing has happened"},
    "watches-once": {"typing_and_watching": "nothing has happened"},
    "refused-in-silence": {"refused_on_the_socket": "nothing has happened"},
}

PATIENCE = dict.fromkeys(
    ("never-renews", "waits-in-silence", "watches-once", "refused-in-silence"), 2.0
)
"""Seconds, for those that are found by its end."""

LONGER = {*PATIENCE, "unbounded"}

CASES = [
    pytest.param(defect, name, marks=[pytest.mark.slow] * (defect in LONGER))
    for defect, names in FOUND_IN.items()
    for name in names
]

PACE = {"no-backoff": 1.0, "never-waits": 0.1}
"""So that a busy machine does not wait for them."""


@pytest.mark.parametrize(("defect", "name"), CASES)
async def test_a_defect_is_found(defect: str, name: str) -> None:
    scenario = replace(SCENARIOS[name], pace=PACE.get(defect, 0.01))
    with pytest.raises(AssertionError, match=FOUND_IN[defect][name]):
        await play(scenario, reference(defect), PATIENCE.get(defect, 30.0))
