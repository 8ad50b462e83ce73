"""A real server on a free port, for applications that tests make."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp

from chat4all.http.server.serving import Server, listening


class NoMeter:
    def answered(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        pass


class Running:
    """The server, its port, and its end."""

    def __init__(self, server: Server, task: "asyncio.Task[None]") -> None:
        self.server = server
        self.port: int = server.listener.getsockname()[1]
        self._task = task

    async def stop(self) -> None:
        """End the server, and return when it has ended."""
        self.server.should_exit = True
        await self._task


@asynccontextmanager
async def serving(app: ASGIApp, **options: Any) -> AsyncIterator[Running]:
    """Serve an application on this event loop."""
    with listening("127.0.0.1", 0, "--port") as listener:
        server = Server(app, listener, **options)
        running = Running(server, asyncio.create_task(server.serve(sockets=[listener])))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.001)
        try:
            yield running
        finally:
            await running.stop()
