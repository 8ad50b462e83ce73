"""All parts of `chat4all bench`, one after the other, and what comes out of them."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from . import accept, files, history, live, live_people, machine, page, people, router, start
from .figures import Figure
from .quiet import Rounds, Say
from .running import BenchmarkFailed

PARTS = ("accept", "router", "history", "people", "live", "files", "start", "page")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: rounds, the seconds of each load, and how much there is to work on."""

    rounds: int = 5
    load_seconds: float = 4.0
    idle_seconds: float = start.IDLE_SECONDS
    router_messages: int = router.MESSAGES
    large_store: int = history.LARGE
    idle_sockets: int = live_people.IDLE
    file_bytes: int = files.COPIED_BYTES
    page_messages: int = page.MESSAGES
    page_conversations: int = page.CONVERSATIONS


FULL = Effort()
QUICK = Effort(
    rounds=2,
    load_seconds=1.0,
    idle_seconds=1.0,
    router_messages=4_000,
    large_store=20_000,
    idle_sockets=500,
    file_bytes=32 * 1024 * 1024,
    page_messages=1_000,
    page_conversations=30,
)
"""To see that it works. Its figures are no more than a hint."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its rounds and figures, or the sentence that says why there are none."""

    rounds: Rounds | None
    figures: Sequence[Figure]
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            **(self.rounds.as_json() if self.rounds else {}),
            "figures": [figure.as_json() for figure in self.figures],
            "remark": self.rounds.remark if self.rounds else None,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """A whole run."""

    version: str
    started_at: str
    quick: bool
    machine: dict[str, Any]
    parts: dict[str, Part]

    @property
    def complete(self) -> bool:
        """Whether every part has its figures."""
        return all(part.error is None for part in self.parts.values())

    @property
    def met(self) -> bool:
        """Whether every bar is met."""
        return self.complete and all(f.met for part in self.parts.values() for f in part.figures)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "format": 1,
            "chat4all": self.version,
            "started_at": self.started_at,
            "quick": self.quick,
            "machine": self.machine,
            "met": self.met,
            "parts": {name: part.as_json() for name, part in self.parts.items()},
        }


def run(
    version: str,
    parts: Sequence[str],
    effort: Effort,
    say: Say,
    *,
    quick: bool = False,
    folder: Path | None = None,
) -> Result:
    """Measure. `folder` is where the data goes meanwhile: its disk is what is measured."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    done: dict[str, Part] = {}
    with tempfile.TemporaryDirectory(prefix="chat4all-bench-", dir=folder) as name:
        here = Path(name)
        found = machine.describe(here)
        say(machine.line(found))
        if found["filesystem"] in {"tmpfs", "ramfs"}:
            say("this folder is in memory, where a sync costs nothing: name a disk with --folder")
        for part in parts:
            done[part] = _measure(part, here, effort, partial(_say_of, part, say))
    return Result(version, started_at, quick, found, done)


def _say_of(part: str, say: Say, text: str) -> None:
    say(f"{part}: {text}")


def _measure(part: str, folder: Path, effort: Effort, say: Say) -> Part:
    measure, figures = _ways(folder, effort, say)[part]
    try:
        rounds = measure()
    except BenchmarkFailed as error:
        say(f"no figure: {error}")
        return Part(None, (), str(error))
    return Part(rounds, figures(rounds))


def _ways(
    folder: Path, effort: Effort, say: Say
) -> Mapping[str, tuple[Callable[[], Rounds], Callable[[Rounds], Sequence[Figure]]]]:
    """Return for each part how it is measured, and how its figures are made of that."""
    count, seconds = effort.rounds, effort.load_seconds
    messages, large = effort.router_messages, effort.large_store
    idle, idle_seconds = effort.idle_sockets, effort.idle_seconds
    size = {"messages": effort.page_messages, "conversations": effort.page_conversations}
    return {
        "accept": (lambda: accept.measure(folder, count, seconds, say), accept.figures),
        "router": (lambda: router.measure(folder, count, say, messages=messages), router.figures),
        "history": (
            lambda: history.measure(folder, count, seconds, say, large=large),
            history.figures,
        ),
        "people": (lambda: people.measure(folder, count, seconds, say), people.figures),
        "live": (lambda: live.measure(folder, count, seconds, say, idle=idle), live.figures),
        "files": (
            lambda: files.measure(folder, count, seconds, say, size=effort.file_bytes),
            files.figures,
        ),
        "start": (
            lambda: start.measure(folder, count, say, idle_seconds=idle_seconds),
            start.figures,
        ),
        "page": (lambda: page.measure(folder, count, say, **size), page.figures),
    }
