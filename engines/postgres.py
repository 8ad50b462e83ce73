"""One PostgreSQL server, which stands in for CockroachDB: serializable by default."""

import os
import shutil
import signal
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from engines import packages
from engines.processes import Process
from engines.server import Server, connect, free_port, receive

USER = "chat4all"  # of the database; it may do everything
SYSTEM_USER = "postgres"  # it refuses to run as root
PROTOCOL = 3 << 16
SETTINGS = {
    "default_transaction_isolation": "serializable",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # what a client did wrong it is told itself
}
# Pages are torn by a power cut, not by a kill: the kernel finishes what it was given.
SYNCED = {"fsync": "on"}
UNSYNCED = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """A server on loopback that trusts who connects; `url` is a database's address.

    `synced`: a commit is acknowledged after it is on the disk. Without, what was acknowledged
    survives a kill, not a power cut, and writing is faster.
    """

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # does not wait for its clients to go

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        synced: bool = True,
        outlives: bool = False,
    ) -> None:
        super().__init__(folder, outlives=outlives)
        self.port = port or free_port()
        self._synced = synced

    def url(self, database: str = USER) -> str:
        """Return `postgresql://…` of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    @classmethod
    def provide(cls) -> None:
        """Install it; see `Server`."""
        packages.postgres()

    def answers(self) -> bool:
        """Sign in: it refuses as long as it recovers."""
        parameters = f"user\0{USER}\0database\0{USER}\0\0".encode()
        try:
            with connect("127.0.0.1", self.port) as connection:
                connection.sendall(struct.pack(">ii", len(parameters) + 8, PROTOCOL) + parameters)
                kind = receive(connection, 1)
                connection.sendall(b"X\0\0\0\4")
        except OSError:
            return False
        return kind == b"R"

    def create_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        where = ["--host=127.0.0.1", f"--port={self.port}", f"--username={USER}"]
        self._run([_program("createdb"), *where, f"--maintenance-db={USER}", name])
        return self.url(name)

    def _prepare(self) -> None:
        self._once(self._format)

    def _format(self, data: Path) -> None:
        if (user := _system_user()) is not None:
            shutil.chown(data, user, user)
        initdb = ["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        with _opened(data) as (path, handles):
            self._run([_program("initdb"), "-D", path, *initdb], user=user, pass_fds=handles)
            # Without a server, so that one that answers has its database.
            single = [_program("postgres"), "--single", "-D", path, "postgres"]
            create = f"CREATE DATABASE {USER}\n"
            self._run(single, user=user, pass_fds=handles, typed=create)

    def _launch(self) -> Process:
        settings = {
            **SETTINGS,
            **(SYNCED if self._synced else UNSYNCED),
            "port": str(self.port),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _opened(self.folder / "data") as (path, handles):
            command = [_program("postgres"), "-D", path, *options]
            return self._start(command, user=_system_user(), pass_fds=handles)


def _program(name: str) -> str:
    return str(packages.postgres() / name)


def _system_user() -> str | None:
    return SYSTEM_USER if os.geteuid() == 0 else None


@contextmanager
def _opened(data: Path) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield a path of the data folder that its owner can use, and the handles to pass on for it.

    Folders above it may be closed to the owner, as root's home and pytest's folders are: a path
    through an open handle does not pass through them.
    """
    if _system_user() is None:
        yield str(data), ()
        return
    handle = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}", (handle,)
    finally:
        os.close(handle)
