"""What connections have received, and so their users: it moves delivered markers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chat4all.concurrency.periodic import periodically
from chat4all.gateway.live.delivering import Delivery
from chat4all.gateway.live.turns import in_turns
from chat4all.usecases.delivered import Delivered

LOOK_EVERY_SECONDS = 0.25


class Received:
    """Looks several times a second at what was sent. Delivering itself costs no more than a note.

    A connection that was sent something and has not taken all of it yet is looked at again.
    """

    def __init__(self, delivery: Delivery, delivered: Delivered) -> None:
        self._delivery = delivery
        self._delivered = delivered

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look while in this context."""
        async with periodically("moving delivered markers", self.look, LOOK_EVERY_SECONDS):
            yield

    def forget(self) -> None:
        """Drop what was sent: the store is of another generation; see `Delivered.forget`."""
        self._delivery.take_sent()
        self._delivered.forget()

    async def look(self) -> None:
        """Note who has received what, and append what is due. Raises `Unavailable`."""
        for conversation, sent in self._delivery.take_sent().items():
            waiting = {}
            async for follower, seq in in_turns(sent.items()):
                if not follower.socket.is_open:
                    continue  # what it has it says when it resumes
                if follower.socket.has_drained:
                    self._delivered.note(conversation, follower.username, seq)
                else:
                    waiting[follower] = seq
            self._delivery.note_sent(conversation, waiting)
        await self._delivered.append()
