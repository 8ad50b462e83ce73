"""Runs and requests, against what a scenario expects. It knows nothing of any client."""

from collections.abc import Sequence

from tests.conformance.data import Json, Run, Scenario
from tests.conformance.expecting import SESSION
from tests.conformance.record import Attempt, Record


def judge_run(run: Run, lines: Sequence[Json]) -> list[str]:
    """Return what is wrong about the lines of one run, besides its events."""
    wrong = _ending(run, lines) + _sessions(run, lines) + _results(run, lines)
    if run.events is not None and not overran(run, lines):
        wrong += _saved(run, _last(lines, "Saved"))
    if run.token_asked is not None:
        asked = sum(line["type"] == "TokenAsked" for line in lines)
        if asked != run.token_asked:
            wrong.append(f"get_token was called {asked} times, not {run.token_asked}")
    return wrong


def judge_server(scenario: Scenario, record: Record) -> list[str]:
    """Return what is wrong about the requests that the server got."""
    wrong: list[str] = []
    if scenario.refreshes is not None and record.refreshes != scenario.refreshes:
        wrong.append(f"refreshed with {record.refreshes}, not with {scenario.refreshes}")
    if scenario.sign_ins is not None and record.sign_ins != scenario.sign_ins:
        wrong.append(f"signed in {record.sign_ins} times, not {scenario.sign_ins}")
    if scenario.writes is not None:
        wrong += _writes(scenario.writes, record.attempts)
    return wrong


def overran(run: Run, lines: Sequence[Json]) -> bool:
    """Return whether the client told its reader that it was too slow, where it may."""
    return run.may_overrun and _last(lines, "Ended").get("error") == "Overrun"


def _last(lines: Sequence[Json], kind: str) -> Json:
    return next((line for line in reversed(lines) if line["type"] == kind), {})


# How it went.


def _ending(run: Run, lines: Sequence[Json]) -> list[str]:
    ended = _last(lines, "Ended")
    wanted = run.ended or {}
    if not wanted and ended and not run.may_overrun:
        return [f"the loop over the events raised: {ended}"]
    if wanted and not ended:
        return [f"the loop over the events did not raise, but {wanted} was expected"]
    return [
        f"the loop ended with {name} {ended.get(name)!r}, not {value!r}"
        for name, value in wanted.items()
        if ended.get(name) != value
    ]


def _sessions(run: Run, lines: Sequence[Json]) -> list[str]:
    told = [line["type"] for line in lines if line["type"] in SESSION]
    wanted = ["Connected", "Disconnected"] * len(told)
    if told != wanted[: len(told)]:
        return [f"Connected and Disconnected do not alternate: {told}"]
    connected = told.count("Connected")
    if run.connected is not None and connected != run.connected:
        return [f"Connected was told {connected} times, not {run.connected}"]
    return []


def _results(run: Run, lines: Sequence[Json]) -> list[str]:
    named = {line["name"]: line for line in lines if line.get("name")}
    wrong = [
        f"the action failed: {line}"
        for line in lines
        if line["type"] == "Failed" and line.get("name") not in run.results
    ]
    for name, wanted in run.results.items():
        line = named.get(name, {})
        for key, value in wanted.items():
            found = line.get(key)
            if key == "messages":
                found = _ends([message["seq"] for message in found or ()])
            if found != value:
                wrong.append(f"the action {name!r} gave {key} {found!r}, not {value!r}")
    return wrong


def _ends(numbers: list[int]) -> list[int]:
    """Return the first and the last of what is counted up or down, else all of them."""
    if len(numbers) < 2:
        return numbers
    step = 1 if numbers[0] < numbers[-1] else -1
    ends = [numbers[0], numbers[-1]]
    return ends if numbers == [*range(ends[0], ends[1] + step, step)] else numbers


def _saved(run: Run, saved: Json) -> list[str]:
    wrong: list[str] = []
    positions = saved.get("positions")
    if run.positions is not None and positions != run.positions:
        wrong.append(f"the positions at the end are {positions}, not {run.positions}")
    if run.generation is not None and saved.get("generation") != run.generation:
        wrong.append(f"the generation is {saved.get('generation')!r}, not {run.generation!r}")
    return wrong


# Writes.


def _writes(wanted: Sequence[Json], attempts: Sequence[Attempt]) -> list[str]:
    """Compare what was written with what was wanted: by its kind and fields, how often tried."""
    wrong: list[str] = []
    left = list(attempts)
    for one in wanted:
        fields = {key: value for key, value in one.items() if key not in {"do", "tries"}}
        mine = [
            attempt
            for attempt in left
            if attempt.kind == one["do"]
            and all(attempt.fields.get(key) == value for key, value in fields.items())
        ]
        left = [attempt for attempt in left if attempt not in mine]
        if len(mine) != one.get("tries", 1):
            wrong.append(f"{one} was tried {len(mine)} times")
        identifiers = {attempt.identifier for attempt in mine}
        if one["do"] != "read" and None in identifiers:
            wrong.append(f"{one} was sent without an id of the client's")
        elif len(identifiers) > 1:
            wrong.append(f"{one} was tried with {len(identifiers)} ids")
    if left:
        wrong.append(f"was written, and nobody asked for it: {left[:3]}")
    return wrong
