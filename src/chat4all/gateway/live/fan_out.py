"""Writing one frame to many sockets."""

import asyncio
from collections.abc import Sequence

from chat4all.gateway.live.outgoing import Outgoing

SLICE = 250
"""Sockets that are written to in one go: about 2 ms."""


async def fan_out(sockets: Sequence[Outgoing], frame: bytes) -> None:
    """Write a frame to all, and let the event loop run in between.

    Meanwhile others may write to those whose turn has not come: what has an order, as the events
    of one conversation, is written by one caller after the other.
    """
    for first in range(0, len(sockets), SLICE):
        if first:
            await asyncio.sleep(0)
        for one in sockets[first : first + SLICE]:
            one.write(frame)
