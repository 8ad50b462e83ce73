"""The page on the conformance suite names everything that its scenarios use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.data import Json, scenarios
from tests.conformance.test_defects import FOUND_IN

PAGE = Path("docs/clients/conformance.md").read_text()

SCENARIOS = scenarios().values()


def steps() -> Iterator[Json]:
    for scenario in SCENARIOS:
        for script in scenario.server.get("sockets", ()):
            yield from script


def actions(of: list[Json]) -> Iterator[Json]:
    for action in of:
        yield action
        yield from actions(action.get("actions", []))


def used() -> dict[str, set[str]]:
    """Return by their kind the words that scenarios use."""
    runs = [run for scenario in SCENARIOS for run in scenario.runs]
    rules = [
        rule
        for scenario in SCENARIOS
        for kind in scenario.server.get("calls", {}).values()
        for rule in kind
    ]
    return {
        "programs": {key for run in runs for key in run.program},
        "actions": {a["do"] for run in runs for a in actions(run.program.get("actions", []))},
        "steps": {next(iter(step)) for step in steps()},
        "fields of steps": {key for step in steps() for key in list(step)[1:]},
        "rules": {key for rule in rules for key in rule},
        "servers": {key for scenario in SCENARIOS for key in scenario.server},
        "tokens": {key for scenario in SCENARIOS for key in scenario.server.get("tokens", {})},
    }


@pytest.mark.parametrize(("kind", "words"), used().items())
def test_the_page_names_what_scenarios_use(kind: str, words: set[str]) -> None:
    assert len(words) > 1
    missing = {word for word in words if f"`{word}" not in PAGE and f"{word}`" not in PAGE}
    assert missing == set()


def test_the_page_names_the_scenarios_of_its_mutants() -> None:
    for mutant in ("new-id", "position-first", "no-positions", "refresh-each"):
        first, *_ = FOUND_IN[mutant]
        assert f"`{first}`" in PAGE
