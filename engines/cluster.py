"""`make cluster`: the engines and the three services on them, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from engines import developer
from engines.packages import cache, locked_or_failed, say
from engines.server import Failed, Server
from engines.services import Service

READY_SECONDS = 120
JOB_SECONDS = 120
ATTEMPTS = 3
WATCH_SECONDS = 0.5
# What each service's port is called; in the order in which they are started.
SERVICES = {
    "metadata": "CHAT4ALL_METADATA_PORT",
    "router": "CHAT4ALL_ROUTER_PORT",
    "gateway": "CHAT4ALL_PORT",
}


def run() -> None:
    """Start all, say where it is, and stop it at SIGINT, SIGTERM or when the terminal is closed.

    Failed when something cannot be started, or ends by itself; nothing is left running then either.
    An engine that ran before goes on running, unless an earlier run started it and was killed.
    """
    gateway = f"http://localhost:{developer.port('CHAT4ALL_PORT')}"
    running = f"a cluster runs here already: {gateway}/docs. Ctrl-C in its window stops it."
    with locked_or_failed(cache() / "cluster.lock", running):
        ends = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` sets it
            ends.append(signal.SIGHUP)
        for number in ends:
            signal.signal(number, signal.default_int_handler)
        # Else the router takes another port than the one at which it is awaited.
        os.environ.update({name: str(developer.port(name)) for name in SERVICES.values()})
        engines = developer.claim()
        services = [
            Service(cache() / "cluster" / command, command, developer.port(setting))
            for command, setting in SERVICES.items()
        ]
        try:
            _start(services, gateway)
            while True:
                time.sleep(WATCH_SECONDS)
                _expect_running(services)
        except KeyboardInterrupt:
            say("\nstopping ...")
        finally:
            for number in ends:
                signal.signal(number, _say_stopping)
            for started in (services, engines):
                developer.stop([one for one in started if one.process() is not None])
            developer.release()


def _start(services: Sequence[Service], gateway: str) -> None:
    known = developer.up()
    os.environ.update(known)
    for job in ("migrate", "demo"):
        _run(job)
    for service in services:
        say(f"{service.name}: starting ...")
        service.start()
    for service in services:
        service.wait_ready(READY_SECONDS)
    say(
        f"""
gateway            {gateway}/docs
metadata service   http://localhost:{developer.port("CHAT4ALL_METADATA_PORT")}/docs
router             http://localhost:{developer.port("CHAT4ALL_ROUTER_PORT")}/health/ready
engines            Kafka {known["KAFKA_BOOTSTRAP_SERVER"]}, Cassandra \
{known["CASSANDRA_HOSTS"]}:{known["CHAT4ALL_CASSANDRA_PORT"]}, {known["DATABASE_URL"]}
logs               {cache()}/cluster/*/log, {cache()}/data/*/log

Sign in as bruno or ana, password test: the session in README.md works here too.
Ctrl-C stops everything; the data stays."""
    )


def _run(job: str) -> None:
    """Run a command of Chat4All to its end; again, which is harmless, where an engine is slow."""
    command = [sys.executable, "-m", "chat4all", job]
    for _ in range(ATTEMPTS):
        if subprocess.run(command, timeout=JOB_SECONDS, check=False).returncode == 0:
            return
    raise Failed(f"chat4all {job} failed")


def _expect_running(services: Sequence[Server]) -> None:
    for service in services:
        if service.process() is None:
            raise Failed(f"the {service.name} has ended; its log: {service.log_file}")


def _say_stopping(_: int, __: FrameType | None) -> None:
    say("it is being stopped: a moment ...")
