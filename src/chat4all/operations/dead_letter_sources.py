"""Where an installation's dead letters are: in a data folder, or in a cluster."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from chat4all.adapters.embedded import DataFolder, EmbeddedLog, EmbeddedStore
from chat4all.adapters.embedded.folder import is_held
from chat4all.domain.errors import CommandRefused
from chat4all.domain.ids import LogPosition
from chat4all.logs import quieten_libraries
from chat4all.operations.installation import (
    existing_folder,
    is_of_cluster,
    settings_from,
    tell_unknown_names,
    unreadable_refused,
)
from chat4all.operations.running import cluster_extra
from chat4all.ports.dead_letters import DeadLetters
from chat4all.settings import CassandraSettings, KafkaSettings
from chat4all.usecases.replaying import Replaying

PATIENCE_SECONDS = 30.0
"""How long to wait for a file that the running Chat4All keeps writing to."""

CLOCKS_MS = 60_000
"""How far this machine's clock may be ahead of Kafka's."""


class MalformedPosition(CommandRefused):
    """An operator wrote something that is not a position of this installation."""


class OpenedLetters(NamedTuple):
    """The dead letters of an opened installation, and the use case that replays them."""

    letters: DeadLetters
    replaying: Replaying


@dataclass(frozen=True, slots=True)
class FolderLetters:
    """The dead letters in a data folder; their positions are written as offsets."""

    folder: Path

    def parse_position(self, text: str) -> LogPosition:
        """Return a position that an operator wrote; `MalformedPosition` for anything else."""
        (offset,) = _parse(text, 1, "a number")
        return LogPosition(0, 0, offset)

    def format_position(self, position: LogPosition) -> int | str:
        """Return a position as an operator reads and writes it."""
        return position.offset

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenedLetters]:
        """Open both files: as a guest of the process that holds the folder, or as its holder."""
        async with AsyncExitStack() as stack:
            with unreadable_refused():
                guest = await asyncio.to_thread(is_held, self.folder)
            if not guest:
                stack.enter_context(DataFolder(self.folder))
            log = EmbeddedLog(
                self.folder / "log.db",
                deadline=2 * PATIENCE_SECONDS,
                busy_seconds=PATIENCE_SECONDS,
                guest=guest,
            )
            stack.push_async_callback(log.close)
            store = EmbeddedStore(
                self.folder / "store.db", busy_seconds=PATIENCE_SECONDS, guest=guest
            )
            stack.push_async_callback(store.close)
            await log.open()
            await store.open()
            yield OpenedLetters(store, Replaying(log, store))


@dataclass(frozen=True, slots=True)
class ClusterLetters:
    """The dead letters of a cluster; their positions are written EPOCH.PARTITION.OFFSET."""

    kafka: KafkaSettings
    cassandra: CassandraSettings

    def parse_position(self, text: str) -> LogPosition:
        """Return a position that an operator wrote; `MalformedPosition` for anything else."""
        return LogPosition(*_parse(text, 3, "EPOCH.PARTITION.OFFSET, three numbers"))

    def format_position(self, position: LogPosition) -> int | str:
        """Return a position as an operator reads and writes it."""
        return ".".join(map(str, position))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenedLetters]:
        """Open the log and the store. Raises `Unavailable` for what does not answer."""
        with cluster_extra():
            from chat4all.operations.cluster import log_and_dead_letters  # noqa: PLC0415
        async with log_and_dead_letters(self.kafka, self.cassandra) as (log, letters):
            replaying = Replaying(
                log,
                letters,
                now_ms=lambda: time.time_ns() // 1_000_000 - CLOCKS_MS,
                written=lambda position: str(self.format_position(position)),
            )
            yield OpenedLetters(letters, replaying)


LetterSource: TypeAlias = FolderLetters | ClusterLetters


def letter_source(data: Path | None, *, cluster: bool) -> LetterSource:
    """Return the letters that a command's `--data` and `--cluster` select."""
    settings = settings_from(data=data)
    tell_unknown_names()
    if is_of_cluster(settings, requested=cluster, data=data):
        quieten_libraries()
        return ClusterLetters(settings.kafka, settings.cassandra)
    return FolderLetters(existing_folder(data))


def _parse(text: str, count: int, what: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(".")]
        if len(numbers) != count or min(numbers) < 0 or max(numbers[:-1], default=0) >= 2**31:
            raise ValueError
        if numbers[-1] >= 2**63:
            raise ValueError
    except ValueError:
        raise MalformedPosition(f"A position is {what}: {text!r} is not.") from None
    return numbers
