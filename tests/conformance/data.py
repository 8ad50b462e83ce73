"""The scenarios, which are data: JSON files in which `@A` stands for a conversation.

`@A/3` stands for the id of its message 3. A key `@many/1500` stands for 1,500 more conversations.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

FOLDER = Path(__file__).parent / "scenarios"

Json = dict[str, Any]

CONVERSATIONS = {f"@{letter}": str(uuid5(NAMESPACE_URL, letter)) for letter in "ABCDE"}

_NAME = re.compile(r"@[A-E](/[0-9]+)?")
_MANY = re.compile(r"@many/([0-9]+)")

LONGER = {
    "heartbeats",
    "silence",
    "slow_reader",
    "token_due_and_no_answer",
    "token_renewed_on_the_socket",
}
"""Scenarios that wait for a second or more."""

END = "end"
"""Whoever is called this and types ends the program."""


def message_id(conversation: str, seq: int) -> str:
    """Return the id that the server gives a message which the program has not sent."""
    return str(uuid5(NAMESPACE_URL, f"{conversation}/{seq}"))


def resolved(value: Any) -> Any:
    """Return the value with ids in the place of their names."""
    match value:
        case dict():
            return {name: resolved(item) for key, item in value.items() for name in _names_of(key)}
        case list():
            return [resolved(item) for item in value]
        case str() if _NAME.fullmatch(value):
            name, _, rest = value.partition("/")
            identifier = CONVERSATIONS[name]
            return str(uuid5(NAMESPACE_URL, f"{identifier}/{rest}")) if rest else identifier
    return value


def _names_of(key: str) -> list[str]:
    if many := _MANY.fullmatch(key):
        return [str(uuid5(NAMESPACE_URL, f"many/{number}")) for number in range(int(many[1]))]
    return [str(resolved(key))]


def readable(text: str) -> str:
    """Return a text with names in the place of ids, for messages of errors."""
    for name, identifier in CONVERSATIONS.items():
        text = text.replace(identifier, name)
    return text


@dataclass(frozen=True)
class Run:
    """One life of the program, and what has to come out of it."""

    program: Json
    events: list[Any] | None = None
    """None: not judged, as the program does not listen."""

    positions: dict[str, Any] | None = None
    """What is saved at the end."""

    generation: str | None = None
    connected: int | None = None
    """How many times."""

    ended: Json | None = None
    """How the loop ends where it is not by `END`."""

    results: Json = field(default_factory=dict)
    """By the name of an action, what its line has to have."""

    token_asked: int | None = None
    may_overrun: bool = False
    """Whether `Overrun` is as good as all events."""


@dataclass(frozen=True)
class Scenario:
    """What the server does, what the program does, and what has to come out."""

    name: str
    about: str
    runs: list[Run]
    server: Json
    writes: list[Json] | None = None
    """What the server was asked to write, with the number of tries."""

    refreshes: list[str] | None = None
    """The refresh tokens that were used, in order."""

    sign_ins: int | None = None
    needs: str | None = None
    """`handshake_status`: that the client sees the answer to a handshake, which pages do not."""

    pace: float = 0.01


def load(path: Path) -> Scenario:
    """Return the scenario of a file."""
    read = resolved(json.loads(path.read_text()))
    runs = [Run(**run) for run in read.pop("runs")]
    return Scenario(name=path.stem, runs=runs, **{"server": {}, **read})


def scenarios(*, without: Collection[str] = ()) -> dict[str, Scenario]:
    """Return all scenarios by their names, but for those that need one of these."""
    found = {path.stem: load(path) for path in sorted(FOLDER.glob("*.json"))}
    return {name: scenario for name, scenario in found.items() if scenario.needs not in without}
