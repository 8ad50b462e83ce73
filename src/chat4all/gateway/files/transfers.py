"""Counting uploads and downloads, for metrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from starlette.types import Message, Receive, Scope, Send

from chat4all.http.route_limits import STALLED
from chat4all.ports.transfers import Direction, TransferCounts


class Transfers:
    """Counts the transfers of one gateway."""

    def __init__(self) -> None:
        self.counts = TransferCounts()

    @contextmanager
    def uploading(self, scope: Scope, receive: Receive) -> Iterator[Receive]:
        """Count a request that may send a file's bytes while in this context."""
        counts = self.counts

        async def counted() -> Message:
            message = await receive()
            counts.received += len(message.get("body", b""))
            return message

        with self._active("upload", scope):
            yield counted

    @contextmanager
    def downloading(self, scope: Scope, send: Send) -> Iterator[Send]:
        """Count a request for a file's bytes while in this context."""
        counts = self.counts

        async def counted(message: Message) -> None:
            await send(message)
            counts.sent += len(message.get("body", b""))

        with self._active("download", scope):
            yield counted

    @contextmanager
    def _active(self, direction: Direction, scope: Scope) -> Iterator[None]:
        # Called by the connection: an answer's last bytes may stall when the request has ended.
        scope[STALLED] = partial(self.counts.stalls.update, (direction,))
        self.counts.active[direction] += 1
        try:
            yield
        finally:
            self.counts.active[direction] -= 1
