"""The developer's instances: fixed ports, data that stays, and what the processes need to know."""

import os
import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engines.cassandra import CassandraNode
from engines.kafka import KafkaBroker
from engines.packages import cache, locked, say
from engines.postgres import PostgresServer
from engines.s3 import S3Server
from engines.server import Failed, Server

KAFKA_PORT, KAFKA_CONTROLLER_PORT = 29092, 29093
CASSANDRA_PORT, CASSANDRA_STORAGE_PORT = 9042, 7000
POSTGRES_PORT = 26257  # CockroachDB's
S3_PORT = 7070  # versitygw's own
BUCKET = "chat4all"
KEYSPACE = "chat4all_ks"
START_SECONDS = 120
# The services' ports: the settings of the same names, with the same defaults.
PORTS = {"CHAT4ALL_PORT": 8000, "CHAT4ALL_METADATA_PORT": 8001, "CHAT4ALL_ROUTER_PORT": 8002}


def fetch() -> None:
    """Install and fetch what is not there yet."""
    for engine in (KafkaBroker, CassandraNode, PostgresServer, S3Server):
        engine.provide()


def up() -> dict[str, str]:
    """Start what is not running, leave alone what is; return the settings of services on it.

    Failed when one cannot be had; the others go on running.
    """
    with locked(cache() / "developer.lock"):
        kafka, cassandra, postgres, s3 = servers = _servers()
        for missing in not_running():
            missing.provide()
        _together(_start, servers)
        return {
            "KAFKA_BOOTSTRAP_SERVER": kafka.address,
            "KAFKA_BROKER_URL": kafka.address,
            "CASSANDRA_HOSTS": cassandra.address,
            "CHAT4ALL_CASSANDRA_PORT": str(cassandra.port),
            "CASSANDRA_KEYSPACE": KEYSPACE,
            "DATABASE_URL": postgres.url(),
            "CHAT4ALL_S3_ENDPOINT": s3.address,
            "CHAT4ALL_S3_BUCKET": s3.create_bucket(BUCKET),
            "CHAT4ALL_S3_REGION": s3.region,
            "CHAT4ALL_S3_ACCESS_KEY": s3.access_key,
            "CHAT4ALL_S3_SECRET_KEY": s3.secret_key,
            "SECRET_KEY": _secret(cache() / "secret-key"),
            # What gateways and metadata services need of each other.
            "CHAT4ALL_METADATA_URL": f"http://127.0.0.1:{port('CHAT4ALL_METADATA_PORT')}",
            "CHAT4ALL_SERVICE_CREDENTIAL": _secret(cache() / "service-credential"),
            "CHAT4ALL_DEPLOYMENT": "development",  # `chat4all demo` may be run
        }


def exports(known: Mapping[str, str]) -> str:
    """Return settings as a shell evaluates them."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in known.items())


def port(setting: str) -> int:
    """Return a service's port: what the setting of this name says."""
    return int(os.environ.get(setting, PORTS[setting]))


def down() -> None:
    """Stop what `up` started."""
    stop(_servers())
    release()


def stop(servers: Sequence[Server]) -> None:
    """Stop these, all at once; what runs already not is left so."""
    with locked(cache() / "developer.lock"):
        _together(_stop, servers)


def not_running() -> list[Server]:
    """Return the engines that `up` would start."""
    return [one for one in _servers() if one.process() is None and not one.answers()]


def claim() -> list[Server]:
    """Return the engines that the caller starts and has to stop, until `release`.

    They are written down: when the caller is killed, the next one has them to stop.
    """
    file = _claim()
    before = file.read_text().split() if file.exists() else []
    absent = {one.name for one in not_running()}
    claimed: list[Server] = [one for one in _servers() if one.name in absent or one.name in before]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{one.name}\n" for one in claimed))
    return claimed


def release() -> None:
    """Leave running what runs, also after a `claim`."""
    _claim().unlink(missing_ok=True)


def _claim() -> Path:
    return cache() / "cluster" / "engines"


def _servers() -> tuple[KafkaBroker, CassandraNode, PostgresServer, S3Server]:
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
        S3Server(
            data / "s3", port=S3_PORT, secret_key=_secret(cache() / "s3-secret-key"), outlives=True
        ),
    )


def _together(do: Callable[[Server], None], servers: Sequence[Server]) -> None:
    """Do it with all at once; what failed is told together, when all have come to an end."""
    if not servers:
        return
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
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{file.name}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32))
        new.replace(file)
    return file.read_text()
