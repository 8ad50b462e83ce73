"""A proxy whose connections break after some bytes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.client.answering import listening


class Cutting:
    """The proxy. `sent` counts all bytes that went to the server, headers included."""

    def __init__(self, target: str, cuts: Iterator[int]) -> None:
        self._to = urlsplit(target)
        self._cuts = cuts
        self.sent = 0
        self.broken = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, until as many bytes have gone one way."""
        left = [next(self._cuts, 1 << 60)]
        upstream, onwards = await asyncio.open_connection(self._to.hostname, self._to.port)

        async def copy(
            source: asyncio.StreamReader, to: asyncio.StreamWriter, *, counts: bool
        ) -> None:
            while left[0] > 0 and (data := await source.read(65_536)):
                to.write(data)
                await to.drain()
                left[0] -= len(data)
                self.sent += len(data) * counts

        ways = [
            asyncio.create_task(copy(reader, onwards, counts=True)),
            asyncio.create_task(copy(upstream, writer, counts=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.broken += left[0] <= 0
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, onwards):
                with suppress(OSError):
                    end.close()


@asynccontextmanager
async def cutting(target: str, *cuts: int) -> AsyncIterator[Cutting]:
    """Pass connections on to a server. Each breaks after the next of `cuts`; later ones do not."""
    found = Cutting(target, iter(cuts))
    async with listening(found.handle) as found.url:
        yield found
