"""`store.db`, with all its parts."""

from pathlib import Path

from chat4all.adapters.embedded.database import Database
from chat4all.adapters.embedded.store import schema
from chat4all.adapters.embedded.store.changing import SequencedChangesTable
from chat4all.adapters.embedded.store.dead_letters import DeadLetterTable
from chat4all.adapters.embedded.store.history import MessageHistory
from chat4all.adapters.embedded.store.summaries import Summaries
from chat4all.adapters.embedded.store.writing import SequencedMessages
from chat4all.adapters.present_files import PresentFiles


class EmbeddedStore(
    SequencedMessages, SequencedChangesTable, MessageHistory, Summaries, DeadLetterTable
):
    """Every port of the store, and dead letters, on one file.

    A batch is one transaction, which includes the log's offset.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_seconds: float = 5.0,
        guest: bool = False,
        present: PresentFiles | None = None,
    ) -> None:
        super().__init__(
            Database(
                path,
                schema.SCHEMA,
                busy_seconds=busy_seconds,
                guest=guest,
                present=present,
                overwrite_deleted=True,
            )
        )

    async def open(self) -> None:
        """Open the file; see `Database.open`."""
        await self._database.open()

    async def ping(self) -> None:
        """Return when the store can be read."""
        await self._database.read(lambda db: db.execute("SELECT 1 FROM followed_log").fetchone())

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()
