"""The metadata service's internal side as a process of its own.

Settings come from the environment, as for every service.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from starlette.types import ASGIApp

from chat4all import __version__
from chat4all.adapters.prometheus import ServiceMetrics
from chat4all.http.edge import Edge
from chat4all.http.metrics import metrics_routes
from chat4all.http.problems import SLUG
from chat4all.http.server.serving import Server, listening
from chat4all.logs import configure_logging
from chat4all.metadata import InternalEndpoint, metadata_app
from chat4all.processes.directories import people_in_database
from chat4all.settings import load_settings
from tests.faults.running import call, environment, free_ports, until
from tests.forked import Forked

CREDENTIAL = "0123456789abcdef0123456789abcdef"


async def serve() -> None:
    settings = load_settings()
    configure_logging(settings.log_level)
    metrics = ServiceMetrics(__version__, SLUG)
    with listening(settings.host, settings.metadata_port, "--metadata-port") as listener:
        async with people_in_database(settings.metadata) as own:
            app = metadata_app(
                [metrics_routes(metrics.text, failed=metrics.source_failed)],
                pings={"directory": own.ping},
                meter=metrics,
                edge=Edge(),
                internal=InternalEndpoint(
                    own.internal.credential,
                    own.people,
                    own.internal.outbox,
                    secret_proofs=own.internal.secret_proofs,
                ),
            )
            await Server(app, listener).serve(sockets=[listener])


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application on this event loop, and yield its URL."""
    with listening("127.0.0.1", 0, "--port") as listener:
        server = Server(app, listener)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.001)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


class MetadataProcess:
    """One such process; its log goes to a file."""

    def __init__(self, database_url: str, log: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environment = environment() | {
            "DATABASE_URL": database_url,
            "CHAT4ALL_SERVICE_CREDENTIAL": CREDENTIAL,
            "CHAT4ALL_METADATA_PORT": str(self.port),
        }
        self.process: Forked | None = None

    def start(self) -> None:
        """Start and wait until it is ready."""
        self.process = Forked("tests.metadata_service", [], self._environment, self.log)
        until(self._is_ready)

    def kill(self) -> None:
        """SIGKILL, and wait for the end; it may have ended already."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return call("GET", f"{self.url}/health/ready")[0] == 200
        except OSError:
            return False


@contextmanager
def metadata_process(database_url: str, log: Path) -> Iterator[MetadataProcess]:
    """Start one, and kill it at the end."""
    found = MetadataProcess(database_url, log)
    try:
        found.start()
        yield found
    finally:
        found.kill()


if __name__ == "__main__":
    asyncio.run(serve())
