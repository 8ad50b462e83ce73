"""Chat4All whose sockets say what they hear: `python -m tests.live.product up …`.

A message `all N` is answered with N frames of 4 KiB to every socket, then `done`.
"""

import asyncio
from typing import Any

from chat4all.cli import main
from chat4all.gateway import app
from chat4all.gateway.app import gateway_app
from chat4all.gateway.live.sockets import Credentials, Socket, text_frame

PAGE = text_frame(b"x" * 4096)

_sockets: set[Socket] = set()
_tasks: set["asyncio.Task[None]"] = set()


class Talkative:
    """Says what it hears."""

    def __init__(self, socket: Socket, credentials: Credentials) -> None:
        self._socket = socket
        self._token = credentials.token
        _sockets.add(socket)

    def received(self, frame: bytes) -> None:
        if frame.startswith(b"all "):
            task = asyncio.create_task(self._tell_all(int(frame[4:])))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)
        elif frame == b"token":
            self._socket.write(text_frame(str(self._token).encode()))
        elif frame.startswith(b"close "):
            self._socket.close(int(frame[6:]), "as you wish")
        else:
            self._socket.write(text_frame(frame))

    def closed(self) -> None:
        _sockets.discard(self._socket)

    async def _tell_all(self, count: int) -> None:
        for _ in range(count):
            for one in [*_sockets]:
                one.write(PAGE)
            await self._socket.room()  # no faster than the one who asked takes it
            await asyncio.sleep(0)
        self._socket.write(text_frame(b"done"))


def with_talkative(*arguments: Any, **options: Any) -> Any:
    """Return a gateway whose sockets have these clients."""
    return gateway_app(*arguments, **options | {"make_client": Talkative})


if __name__ == "__main__":
    app.gateway_app = with_talkative
    main()
