"""A constant 202 from a bare asyncio protocol: what the generator must reach twice the rate on.

Started by `python -m bench.static PORT`.
"""

import asyncio
import sys
from typing import cast

import uvloop

BODY = b'{"status":"accepted","message_id":"0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47"}'
ANSWER = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    % len(BODY)
) + BODY


class Static(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        # A request of the workload fits one segment on loopback.
        self._transport.write(ANSWER)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Static, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
