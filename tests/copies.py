"""What a client has of a chat that it follows, and what was wrong in what it was told."""

import json
import time
from typing import Any

Frame = dict[str, Any]


class Copy:
    """A client's copy of a chat: resumes with its position after each break.

    What it has is `has`, message n at n - 1, `None` for what was before it joined.
    """

    def __init__(self, chat: str) -> None:
        self.has: list[Frame | None] = []
        self.position: str | None = "0.0"
        """None while it is told that it is no member."""
        self.heard: list[tuple[float, int]] = []
        """When it was shown which message."""
        self.wrong: list[str] = []
        self.resumes = 0
        self.chat = chat
        self._generation: str | None = None

    def resume(self) -> str:
        """Return the frame to begin with on a new connection."""
        positions = {} if self.position is None else {self.chat: self.position}
        return json.dumps(
            {"type": "resume", "positions": positions, "generation": self._generation}
        )

    def take(self, frame: Frame) -> None:
        """Take what came."""
        match frame:
            case {"type": "hello"}:
                self._generation = frame.get("generation")
            case {"type": "resumed"}:
                self.resumes += 1
            case {"type": "message", "message": message, "position": position}:
                if message["seq"] != len(self.has) + 1:
                    self.wrong.append(f"{message['seq']} came after {len(self.has)}")
                self.has.append(message)
                self.heard.append((time.monotonic(), message["seq"]))
                self._moves(position)
            case {"type": "message_changed", "message": message, "position": position}:
                if message["seq"] > len(self.has):
                    self.wrong.append(f"a change of {message['seq']} came after {len(self.has)}")
                else:
                    self.has[message["seq"] - 1] = message
                self._moves(position)
            case {"type": "conversation", "event": "removed"}:
                self.position = None
            case {"type": "conversation", "event": "added", "position": position}:
                self.has = [None] * int(position.partition(".")[0])
                self.position = position
            case {"type": "error", "status": 503}:
                pass  # of a gateway that was just started
            case {"type": "reload" | "error" as kind}:
                self.wrong.append(f"{kind}: {frame}")

    def check(self, history: list[Frame]) -> None:
        """Raise AssertionError unless it is this history, statuses aside, and nothing was wrong."""
        assert self.wrong == []
        assert len(self.has) == len(history)
        for had, stored in zip(self.has, history, strict=True):
            assert had is None or had | {"status": None} == stored | {"status": None}

    def _moves(self, position: str) -> None:
        if self.position is None or numbers(position) <= numbers(self.position):
            self.wrong.append(f"{position} came after {self.position}")
        self.position = position


def numbers(position: str) -> tuple[int, ...]:
    seq, change = map(int, position.split("."))
    return seq + change, seq, change
