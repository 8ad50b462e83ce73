"""One S3 server: versitygw, which keeps objects as files in a folder."""

import http.client
import os
import secrets
from pathlib import Path
from typing import ClassVar

from engines import golang
from engines.processes import Process
from engines.server import Server, free_port

PROGRAM = "versitygw"
REGION = "us-east-1"
ACCESS_KEY = "chat4all"
ANSWER_SECONDS = 2


class S3Server(Server):
    """A server on loopback: `address` is its endpoint, `access_key` and `secret_key` its root's.

    What it has acknowledged is still there after it was killed; it does not sync to the disk.
    """

    name: ClassVar[str] = "s3"
    region: ClassVar[str] = REGION
    access_key: ClassVar[str] = ACCESS_KEY

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        secret_key: str | None = None,
        outlives: bool = False,
    ) -> None:
        super().__init__(folder, outlives=outlives)
        self.port = port or free_port()
        self.secret_key = secret_key or secrets.token_hex(20)

    @property
    def address(self) -> str:
        """Return `http://host:port`."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def provide(cls) -> None:
        """Build it; see `Server`."""
        golang.built(PROGRAM)

    def answers(self) -> bool:
        """Ask for its health."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            return answer.status == http.HTTPStatus.OK and answer.read() == b"OK"
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def create_bucket(self, name: str) -> str:
        """Make an empty bucket where there is none: to this server it is a folder."""
        self._bucket(name).mkdir(parents=True, exist_ok=True)
        return name

    def _bucket(self, name: str) -> Path:
        return self.folder / "data" / "buckets" / name

    def _prepare(self) -> None:
        data = self._once(lambda _: None)
        for part in ("buckets", "metadata"):
            (data / part).mkdir(exist_ok=True)

    def _launch(self) -> Process:
        data = self.folder / "data"
        return self._start(
            [
                str(golang.built(PROGRAM)),
                f"--port=127.0.0.1:{self.port}",
                f"--region={REGION}",
                *("--health=/health", "--quiet", "--keep-alive"),
                # Beside the objects, not in extended attributes, which some file systems lack.
                *("posix", f"--sidecar={data}/metadata", f"{data}/buckets"),
            ],
            environment=os.environ
            | {"ROOT_ACCESS_KEY_ID": ACCESS_KEY, "ROOT_SECRET_ACCESS_KEY": self.secret_key},
        )
