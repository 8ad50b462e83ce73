"""What a driver printed, against what a scenario expects. It knows nothing of any client."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tests.conformance.data import END, Json, Run, Scenario
from tests.conformance.record import Attempt, Record

Told = list[Any]
"""An event as scenarios write it: `["created", conversation, 4, "text", "4.0"]`."""

SESSION = {"Connected", "Disconnected"}
OTHERS = {"Result", "Failed", "Ended", "Saved", "TokenAsked", "Paused"}

MESSAGES_OF = {"MessageCreated": "created", "MessageChanged": "changed"}


def judge_run(run: Run, lines: Sequence[Json], record: Record) -> list[str]:
    """Return what is wrong about the lines of one run."""
    wrong = _ending(run, lines) + _sessions(run, lines) + _results(run, lines)
    if run.events is not None and not overran(run, lines):
        wrong += _events(run.events, lines, record)
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


# Events.


def _events(wanted: Sequence[Any], lines: Sequence[Json], record: Record) -> list[str]:
    found: dict[str, list[Told]] = defaultdict(list)
    wrong: list[str] = []
    for line in lines:
        kind = line["type"]
        if kind in SESSION | OTHERS or line.get("username") == END:
            continue
        try:
            told = _told(line)
            wrong += _inconsistent(line, record)
        except (KeyError, TypeError, ValueError) as error:
            wrong.append(f"a line is not as it should be ({error!r}): {line}")
        else:
            found[_group(told)].append(told)
    expected: dict[str, list[Any]] = defaultdict(list)
    for one in _expanded(wanted):
        expected[_group(_entry(one)[0])].append(one)
    for group in sorted(found.keys() | expected.keys()):
        wrong += _compared(expected[group], found[group])
    return wrong


def _told(line: Json) -> Told:
    """Return an event in the form of the scenarios."""
    match line["type"]:
        case "MessageCreated" | "MessageChanged" as kind:
            message = line["message"]
            told = [message[key] for key in ("conversation_id", "seq", "content")]
            return [MESSAGES_OF[kind], *told, line["position"]]
        case "MessagesReloaded":
            numbers = [message["seq"] for message in line["messages"]]
            ends = [numbers[0], numbers[-1]] if numbers else [0, 0]
            return ["reloaded", line["conversation_id"], *ends, line["position"]]
        case "ReadMoved":
            return ["read", line["conversation_id"], line["username"], line["seq"]]
        case "Typing":
            return ["typing", line["conversation_id"], line["username"]]
        case "PresenceChanged":
            return ["presence", line["username"], line["status"]]
        case "ConversationChanged":
            return ["conversation", line["conversation_id"], line["event"]]
        case other:
            raise ValueError(f"there is no event {other!r}")


def _group(told: Told) -> str:
    """Return where order counts: messages of one conversation, reads of one, and so on."""
    if told[0] in {"created", "changed", "reloaded", "conversation"}:
        return str(told[1])
    return ":".join(map(str, told[:2]))


def _inconsistent(line: Json, record: Record) -> list[str]:
    if line["type"] == "MessageCreated":
        seq = line["message"]["seq"]
        if not line["position"].startswith(f"{seq}."):
            return [f"message {seq} has the position {line['position']}"]
    if line["type"] == "MessagesReloaded":
        numbers = [message["seq"] for message in line["messages"]]
        if numbers and numbers != [*range(numbers[0], numbers[-1] + 1)]:
            return [f"what was reloaded has holes, doubles or another order: {numbers}"]
        for message in line["messages"]:
            one = (message["conversation_id"], message["seq"], message["content"])
            if one not in record.served:
                return [f"what was reloaded was never in the history: {one}"]
    return []


def _expanded(wanted: Sequence[Any]) -> list[Any]:
    """Put the events that it stands for in the place of each `created_from`."""
    events: list[Any] = []
    for one in wanted:
        if isinstance(one, list) and one[0] == "created_from":
            _, conversation, first, last = one
            numbers = range(first, last + 1)
            events += [["created", conversation, seq, f"m{seq}", f"{seq}.0"] for seq in numbers]
        else:
            events.append(one)
    return events


def _entry(wanted: Any) -> tuple[Told, bool]:
    """Return an expected event, and whether it may be missing."""
    if isinstance(wanted, dict):
        return wanted["optional"], True
    return wanted, False


def _compared(wanted: list[Any], found: list[Told]) -> list[str]:
    """Compare the events of one group, in order."""
    left = list(found)
    reloaded = 0
    """The last message that a reload had: it is not told again."""
    for number, one in enumerate(wanted):
        expected, is_optional = _entry(one)
        if expected[0] == "created" and expected[2] <= reloaded:
            continue
        if left and _fits(expected, left[0]):
            if expected[0] == "reloaded":
                reloaded = left[0][3]
            left.pop(0)
        elif not is_optional:
            before = found[: len(found) - len(left)][-2:]
            instead = left[:2] or "nothing more"
            return [f"expected {expected} (number {number}) after {before}, found {instead}"]
    return [f"nothing more was expected, found {left[:3]}"] if left else []


def _fits(expected: Told, found: Told) -> bool:
    if expected[0] != "reloaded" or found[0] != "reloaded":
        return expected == found
    # From at most the one, to at least the other: a client may read more.
    _, conversation, first, last, position = expected
    reaches = found[2] <= first and found[3] >= last
    return bool(found[1] == conversation and reaches and found[4] == position)


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
