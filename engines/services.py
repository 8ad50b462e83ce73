"""One service of Chat4All as a process beside its engines."""

import http.client
import sys
from http import HTTPStatus
from pathlib import Path

from engines.processes import Process
from engines.server import Server

ANSWER_SECONDS = 5


class Service(Server):
    """`chat4all COMMAND`, with the settings in this process's environment."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        super().__init__(folder)
        self.name = name  # type: ignore[misc]  # an engine's is its class's
        self.port = port

    @classmethod
    def provide(cls) -> None:
        """Nothing is missing: it is part of the same checkout."""

    def answers(self) -> bool:
        """Ask whether it has all that it needs."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _prepare(self) -> None:
        self.log_file.unlink(missing_ok=True)  # what an earlier one said is of no use

    def _launch(self) -> Process:
        return self._start([sys.executable, "-m", "chat4all", self.name])
