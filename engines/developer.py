"""The developer's instances: fixed ports, data that stays, and what the processes need to know."""

import secrets
import shlex
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engines.cassandra import CassandraNode
from engines.kafka import KafkaBroker
from engines.packages import cache, locked, say
from engines.postgres import PostgresServer
from engines.server import Failed, Server

KAFKA_PORT, KAFKA_CONTROLLER_PORT = 29092, 29093
CASSANDRA_PORT, CASSANDRA_STORAGE_PORT = 9042, 7000
POSTGRES_PORT = 26257  # CockroachDB's
KEYSPACE = "chat4all_ks"
START_SECONDS = 60


def fetch() -> None:
    """Install and fetch what is not there yet."""
    for engine in (KafkaBroker, CassandraNode, PostgresServer):
        engine.provide()


def up() -> str:
    """Start what is not running, leave alone what is; return the `export` lines.

    Failed when one cannot be had; the others go on running.
    """
    with locked(cache() / "developer.lock"):
        kafka, cassandra, postgres = servers = _servers()
        for missing in [one for one in servers if one.process() is None and not one.answers()]:
            missing.provide()
        _together(_start, servers)
        known = {
            "KAFKA_BOOTSTRAP_SERVER": kafka.address,
            "KAFKA_BROKER_URL": kafka.address,
            "CASSANDRA_HOSTS": cassandra.address,
            "CHAT4ALL_CASSANDRA_PORT": str(cassandra.port),
            "CASSANDRA_KEYSPACE": KEYSPACE,
            "DATABASE_URL": postgres.url(),
            "SECRET_KEY": _secret(cache() / "secret-key"),
            "CHAT4ALL_DEPLOYMENT": "development",  # `chat4all demo` may be run
        }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in known.items())


def down() -> None:
    """Stop what `up` started; what runs already not is left so."""
    with locked(cache() / "developer.lock"):
        _together(_stop, _servers())


def _servers() -> tuple[KafkaBroker, CassandraNode, PostgresServer]:
    data = cache() / "data"
    return (
        KafkaBroker(
            data / "kafka",
            port=KAFKA_PORT,
            controller_port=KAFKA_CONTROLLER_PORT,
            heap_mb=512,
            outlives=True,
        ),
        CassandraNode(
            data / "cassandra",
            port=CASSANDRA_PORT,
            storage_port=CASSANDRA_STORAGE_PORT,
            heap_mb=1024,
            outlives=True,
        ),
        PostgresServer(data / "postgres", port=POSTGRES_PORT, outlives=True),
    )


def _together(do: Callable[[Server], None], servers: Sequence[Server]) -> None:
    """Do it with all at once; what failed is told together, when all have come to an end."""
    with ThreadPoolExecutor(len(servers)) as pool:
        asked = [pool.submit(do, server) for server in servers]
    errors = [error for one in asked if (error := one.exception()) is not None]
    unexpected = [error for error in errors if not isinstance(error, Failed)]
    if unexpected:
        raise unexpected[0]
    if errors:
        raise Failed("\n".join(str(error) for error in errors))


def _start(server: Server) -> None:
    where = f"port {server.port}"
    running = server.process() is not None
    if not running and server.answers():
        say(f"{server.name}: {where} answers already, somebody else's; left alone")
        return
    before = time.monotonic()
    if not running:
        say(f"{server.name}: starting ...")
        server.start()
    server.wait_ready(START_SECONDS)
    took = "runs already" if running else f"ready in {time.monotonic() - before:.1f} s"
    say(f"{server.name}: {took} ({where})")


def _stop(server: Server) -> None:
    if server.process() is None:
        say(f"{server.name}: does not run")
        return
    server.stop()
    say(f"{server.name}: stopped")


def _secret(file: Path) -> str:
    """Return the secret of this machine's development; made once, for its owner only."""
    if not file.exists():
        new = file.with_name(f"{file.name}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32))
        new.replace(file)
    return file.read_text()
