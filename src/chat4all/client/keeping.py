"""Positions in a file."""

import asyncio
import os
import threading
from pathlib import Path

import msgspec

from chat4all.client.events import Positions


class PositionsFile:
    """Keeps positions from one run of a program to the next.

    `await file.save(chat.positions)` at the end of a loop's body, and `chat.events(file.load())`.
    The file is replaced in one step: after a crash it is the one before or the new one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._saved: Positions | None = None
        self._writing = threading.Lock()

    def load(self) -> Positions | None:
        """Return what was saved last; None at the first run. `ValueError` for another file."""
        try:
            self._saved = msgspec.json.decode(self._path.read_bytes(), type=Positions)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise ValueError(f"{self._path} does not have positions: {error}") from None
        return self._saved

    async def save(self, positions: Positions) -> None:
        """Write positions, unless they are those of the last time."""
        if positions != self._saved:
            await asyncio.to_thread(self._replace, msgspec.json.encode(positions))
            self._saved = positions

    def _replace(self, content: bytes) -> None:
        with self._writing:  # a task that was cancelled may have left a thread here
            self._write(content)

    def _write(self, content: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
