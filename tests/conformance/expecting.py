"""The events that a scenario expects, against those that a driver prints."""

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from tests.conformance.data import END, Json
from tests.conformance.record import Record

Told = list[Any]
"""An event as scenarios write it: `["created", conversation, 4, "text", "4.0"]`."""

SESSION = {"Connected", "Disconnected"}
OTHERS = {"Result", "Failed", "Ended", "Saved", "TokenAsked", "Paused"}

MESSAGES_OF = {"MessageCreated": "created", "MessageChanged": "changed"}


class Expecting:
    """Compares events one by one: in order within a group, in any order between groups."""

    def __init__(self, events: Sequence[Any], record: Record) -> None:
        self._record = record
        self._left: dict[str, deque[tuple[Told, bool]]] = defaultdict(deque)
        """By group what is still expected, and whether it may be missing."""
        self._reloaded: dict[str, int] = {}
        """By group the last message that a reload had: it is not told again."""
        for told, is_optional in _expanded(events):
            self._left[_group(told)].append((told, is_optional))

    def take(self, line: Json) -> str | None:
        """Return what is wrong about a line, if it is an event."""
        if line["type"] in SESSION | OTHERS or line.get("username") == END:
            return None
        try:
            told = _told(line)
            return self._inconsistent(line) or self._unexpected(told)
        except (KeyError, TypeError, ValueError) as error:
            return f"a line is not as it should be ({error!r}): {line}"

    def missing(self) -> list[str]:
        """Return what should have been told, and was not."""
        firsts = [self._next(group) for group in self._left]
        return [f"was not told: {told}" for told, is_optional in firsts if told and not is_optional]

    def _unexpected(self, told: Told) -> str | None:
        group = _group(told)
        while True:
            expected, is_optional = self._next(group)
            if expected is None:
                return f"was told, and nothing more was expected: {told}"
            if _fits(expected, told):
                break
            if not is_optional:
                return f"was told: {told}, and expected was {expected}"
            self._left[group].popleft()
        self._left[group].popleft()
        if told[0] == "reloaded":
            self._reloaded[group] = told[3]
        return None

    def _next(self, group: str) -> tuple[Told | None, bool]:
        left = self._left[group]
        while left and left[0][0][0] == "created" and left[0][0][2] <= self._reloaded.get(group, 0):
            left.popleft()
        return left[0] if left else (None, False)

    def _inconsistent(self, line: Json) -> str | None:
        if line["type"] == "MessageCreated":
            seq = line["message"]["seq"]
            if not line["position"].startswith(f"{seq}."):
                return f"message {seq} has the position {line['position']}"
        if line["type"] == "MessagesReloaded":
            numbers = [message["seq"] for message in line["messages"]]
            if numbers and numbers != [*range(numbers[0], numbers[-1] + 1)]:
                return f"what was reloaded has holes, doubles or another order: {numbers}"
            for message in line["messages"]:
                one = (message["conversation_id"], message["seq"], message["content"])
                if one not in self._record.served:
                    return f"what was reloaded was never in the history: {one}"
        return None


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
        case "DeliveredMoved":
            return ["delivered", line["conversation_id"], line["username"], line["seq"]]
        case "Typing":
            return ["typing", line["conversation_id"], line["username"]]
        case "PresenceChanged":
            return ["presence", line["username"], line["status"]]
        case "ConversationChanged":
            return ["conversation", line["conversation_id"], line["event"]]
        case "RequestRefused":
            about = [line["request"], line["conversation_id"]]
            return ["refused", *about, line["error"], line["status"]]
        case other:
            raise ValueError(f"there is no event {other!r}")


def _group(told: Told) -> str:
    """Return where order counts: messages of one conversation, reads of one, and so on."""
    if told[0] in {"created", "changed", "reloaded", "conversation"}:
        return str(told[1])
    return ":".join(map(str, told[:2]))


def _expanded(events: Sequence[Any]) -> list[tuple[Told, bool]]:
    """Return the events one by one, and whether each may be missing."""
    expanded: list[tuple[Told, bool]] = []
    for one in events:
        match one:
            case {"optional": told}:
                expanded.append((told, True))
            case ["created_from", conversation, first, last]:
                for seq in range(first, last + 1):
                    told = ["created", conversation, seq, f"m{seq}", f"{seq}.0"]
                    expanded.append((told, False))
            case _:
                expanded.append((one, False))
    return expanded


def _fits(expected: Told, found: Told) -> bool:
    if expected[0] != "reloaded" or found[0] != "reloaded":
        return expected == found
    # From at most the one, to at least the other: a client may read more.
    _, conversation, first, last, position = expected
    reaches = found[2] <= first and found[3] >= last
    return bool(found[1] == conversation and reaches and found[4] == position)
