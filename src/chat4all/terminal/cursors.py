"""How far `chat4all tail` has come, kept between runs under a name: a cursor."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from chat4all.adapters.private_files import make_private_folder
from chat4all.client import Message
from chat4all.terminal.failing import Failed

NAME_MAX = 200
"""Characters of a name that is that of a file, with an id and with an ending."""


class Cursor:
    """Positions by conversation, with the generation of the server's data that they are of.

    Written after every line. Not synced to the disk: what a crash of the machine loses is printed
    again, and what a killed process wrote stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.positions: dict[str, str] | None = None
        """None before the first run."""
        self.generation: str | None = None
        self._printed: dict[str, str] = {}
        """Of a batch with one position, by conversation: the id of the last one printed."""
        self._load()

    def forget(self) -> None:
        """Begin as on a first run."""
        self.positions, self.generation, self._printed = None, None, {}

    def keep(self, positions: dict[str, str], generation: str | None) -> None:
        """Keep positions for the next run, if they have changed."""
        if (positions, generation) != (self.positions, self.generation):
            # Of another conversation a batch may still be printed in part.
            self._printed = {
                key: printed
                for key, printed in self._printed.items()
                if generation == self.generation
                and positions.get(key) == (self.positions or {}).get(key)
            }
            self.positions, self.generation = positions, generation
            self._write()

    def keep_printed(self, message: Message) -> None:
        """Keep that a batch was printed up to this message, until the position moves."""
        self._printed[message.conversation_id] = message.message_id
        self._write()

    def unprinted(self, batch: Sequence[Message]) -> Sequence[Message]:
        """Return what is left to print of a batch that comes again after it was printed in part."""
        for number, message in enumerate(batch, 1):
            if message.message_id == self._printed.get(message.conversation_id):
                return batch[number:]
        return batch

    def _write(self) -> None:
        kept = {
            "positions": self.positions,
            "generation": self.generation,
            "printed": self._printed,
        }
        beside = self._path.with_suffix(".new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(kept, file)
        beside.rename(self._path)

    def _load(self) -> None:
        try:
            kept = json.loads(self._path.read_bytes())
            self.positions, self.generation = kept["positions"], kept["generation"]
            self._printed = dict(kept["printed"])
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            raise Failed(f"{self._path} is damaged: remove it") from None


@contextmanager
def opened(folder: Path, name: str) -> Iterator[Cursor]:
    """Give the cursor of a name to one process at a time. Raises `Failed` while another has it."""
    if len(quoted := quote(name, safe=" ")) > NAME_MAX:
        raise Failed("--cursor: the name is too long")
    make_private_folder(folder)
    path = folder / f"{quoted}.json"
    lock = os.open(path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(
                "another `chat4all tail` is at this: give one of the two a place of its own with "
                "`--cursor NAME`"
            ) from None
        yield Cursor(path)
    finally:
        os.close(lock)
