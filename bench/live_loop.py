"""The floor of one message to many sockets: a bare loop over sockets of the product's own class.

Each POST is answered 202 and written to every socket, a slice at a time; there is no log, no store,
no hub, and nobody is asked who may read. Started by `python -m bench.live_loop PORT`.
"""

import asyncio
import resource
import sys

import uvloop
from starlette.types import Receive, Scope, Send

from chat4all.gateway.live.sockets import Credentials, LiveSockets, Socket, text_frame
from chat4all.http.server.serving import Server, listening

from .live_client import DUE, RESUMED, stamp_of

SLICE = 250
"""Sockets that are written to in one turn of the event loop."""

FRAME = (
    '{"type":"message","message":{"conversation_id":"00000000-0000-0000-0000-000000000001",'
    '"message_id":"0199f3a4-7c1e-7d2a-9b6e-3f1c5a8e2d47","sender_id":"user0","content":"'
    + DUE
    + "x" * 80
    + '","created_at":"2026-01-01T00:00:00.000Z","status":"DELIVERED","seq":1000},'
    '"position":"1000.0"}'
).encode()
"""As long as the product's."""


class Everybody:
    """All sockets, and the application that writes to them."""

    def __init__(self) -> None:
        self._sockets: list[Socket] = []

    def client(self, socket: Socket, _: Credentials) -> "Client":
        self._sockets.append(socket)
        socket.write(text_frame(RESUMED))
        return Client()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = (await receive())["body"]
        answer = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 202, "headers": answer})
        await send({"type": "http.response.body", "body": b"{}"})
        if body:
            frame = text_frame(FRAME.replace(DUE.encode(), stamp_of(body)))
            for first in range(0, len(self._sockets), SLICE):
                for socket in self._sockets[first : first + SLICE]:
                    socket.write(frame)
                await asyncio.sleep(0)


class Client:
    def received(self, frame: bytes) -> None:
        pass

    def closed(self) -> None:
        pass


async def main(port: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    everybody = Everybody()
    sockets = LiveSockets(everybody.client)
    with listening("127.0.0.1", port, "--port") as listener:
        server = Server(everybody, listener, upgrade=sockets.upgrade)
        await server.serve([listener])


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
