"""A constant page from a bare asyncio protocol: what the generator must reach twice the rate on.

As large as a page of the history, so that reading it costs the generator as much. Started by
`python -m bench.history_static PORT`.
"""

import asyncio
import sys
from typing import cast

import uvloop

BODY = b"x" * 14_000
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY


class Static(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        # A request fits one segment on loopback.
        self._transport.write(ANSWER)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Static, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
