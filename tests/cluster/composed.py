"""What `docker-compose.yml` starts, as processes of this machine: the same commands and settings.

Only addresses and folders are others, because the processes share this machine: `Deployment.here`.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engines import CassandraNode, KafkaBroker, S3Server, free_port, packages
from tests.compose import DONE, ENGINES, SERVICES, health_check, order
from tests.databases import Databases
from tests.faults.running import environment, free_ports, until

WAIT_SECONDS = 60


class ImageKafka(KafkaBroker):
    """A broker that is set up as its image does it: by the image's own program, from variables."""

    def __init__(self, folder: Path, port: int, variables: Mapping[str, str]) -> None:
        super().__init__(folder, port=port)
        self._variables = {**environment(), **variables}

    def _prepare(self) -> None:
        super()._prepare()
        given, made = self.folder / "given", self.folder / "made"
        for folder in (given, made):
            folder.mkdir(exist_ok=True)
        for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            (given / name).touch()
        places = ("--default-configs-dir", given, "--mounted-configs-dir", given)
        subprocess.run(
            [
                *packages.java_command(self.folder, 64),
                *("-cp", f"{packages.jars(self.name)}/*", "kafka.docker.KafkaDockerWrapper"),
                *("setup", *places, "--final-configs-dir", made),
            ],
            env=self._variables,
            check=True,
            capture_output=True,
            timeout=60,
        )
        (self.folder / "server.properties").write_text((made / "server.properties").read_text())

    def _format(self, _: Path) -> None:
        """Do nothing: the image's program does it."""


class Deployment:
    """The engines and the services of the file, started in its order."""

    def __init__(self, folder: Path, stack: ExitStack, databases: Databases) -> None:
        self._folder = folder
        self._secrets = folder / "secrets"
        # Where a service runs: on its root there is nothing that it may write to.
        self._empty = folder / "root"
        self._empty.mkdir()
        inside, self.outside, controller = free_port(), free_port(), free_port()
        gateway, metadata, router = free_ports(3)
        self.gateway, self.metadata = (f"http://127.0.0.1:{port}" for port in (gateway, metadata))
        self._ports = {"8000": gateway, "8001": metadata, "8002": router}
        self._own = {
            "CHAT4ALL_PORT": str(gateway),
            "CHAT4ALL_METADATA_PORT": str(metadata),
            "CHAT4ALL_ROUTER_PORT": str(router),
        }
        self._replaced = {
            "INSIDE://:9092": f"INSIDE://127.0.0.1:{inside}",
            "OUTSIDE://:29092": f"OUTSIDE://127.0.0.1:{self.outside}",
            "kafka:9092": f"127.0.0.1:{inside}",
            "localhost:29092": f"127.0.0.1:{self.outside}",
            "localhost:9093": f"127.0.0.1:{controller}",
            "/var/lib/kafka/data": str(folder / "kafka/data"),
            "metadata_service:8001": f"127.0.0.1:{metadata}",
            "/var/lib/chat4all": str(self._secrets),
        }
        self.kafka = stack.enter_context(
            ImageKafka(folder / "kafka", inside, self.here(SERVICES["kafka"]["environment"]))
        )
        with pytest.MonkeyPatch.context() as patch:
            # As the image's start script hands them on.
            options = SERVICES["cassandra"]["environment"]["JVM_EXTRA_OPTS"]
            patch.setenv("JDK_JAVA_OPTIONS", options)
            # By itself as the image has it, where a kill loses what was acknowledged.
            node = CassandraNode(folder / "cassandra", synced=False)
            self.cassandra = stack.enter_context(node)
        secret_key = SERVICES["s3"]["environment"]["ROOT_SECRET_ACCESS_KEY"]
        self.s3 = stack.enter_context(S3Server(folder / "s3", secret_key=secret_key))
        database = urlsplit(databases.empty().dsn)
        self._replaced |= {
            "root@cockroachdb:26257/defaultdb": f"{database.netloc}{database.path}",
            "9042": str(self.cassandra.port),
            "http://s3:7070": self.s3.address,
        }
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self._kill)

    def here(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return a service's variables with this machine's addresses and folders."""
        found = dict(variables)
        for name, value in found.items():
            for there, here in self._replaced.items():
                value = value.replace(there, here)  # noqa: PLW2901
            found[name] = self.cassandra.address if value == "cassandra" else value
        return found

    def up(self) -> list[str]:
        """Start what `docker compose up` starts; return the names in that order."""
        wanted = [name for name, service in SERVICES.items() if "profiles" not in service]
        names = [name for name in order(*wanted) if name not in ENGINES]
        for name in names:
            if self._is_job(name):
                self.run(name)
            else:
                self._start(name)
        for name in self._services:
            until(lambda: self.healthy(name), WAIT_SECONDS)  # noqa: B023
        return names

    def run(self, name: str) -> str:
        """Run a job to its end and return its output."""
        told = subprocess.run(
            self._command(name),
            env=self._environment(name),
            cwd=self._empty,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert told.returncode == 0, told.stderr
        return told.stdout

    def healthy(self, name: str) -> bool:
        """Run the container's health check."""
        assert self._services[name].poll() is None, self.log(name)
        program, *arguments = health_check(name)
        here = [str(self._ports.get(argument, argument)) for argument in arguments]
        told = subprocess.run(
            [sys.executable, "-m", program, *here],
            env=self._environment(name),
            cwd=self._empty,
            capture_output=True,
            check=False,
            timeout=30,
        )
        return told.returncode == 0

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def written(self) -> list[Path]:
        """Return what was written where a container's root is read-only."""
        return list(self._empty.iterdir())

    def stop(self) -> dict[str, int]:
        """SIGTERM to all; return how each ended within the time that the file gives it."""
        for name, process in self._services.items():
            assert process.poll() is None, self.log(name)
            process.terminate()
        seconds = {name: SERVICES[name]["stop_grace_period"] for name in self._services}
        return {
            name: process.wait(float(seconds[name].removesuffix("s")))
            for name, process in self._services.items()
        }

    def _start(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._services[name] = subprocess.Popen(
                self._command(name),
                env=self._environment(name),
                cwd=self._empty,
                stdout=log,
                stderr=log,
            )

    def _command(self, name: str) -> list[str]:
        command = [
            part.replace("/var/lib/chat4all", str(self._secrets))
            for part in SERVICES[name]["command"]
        ]
        return [sys.executable, "-m", "chat4all", *command]

    def _environment(self, name: str) -> dict[str, str]:
        own = self.here(SERVICES[name].get("environment", {}))
        return environment() | self._own | own

    def _is_job(self, name: str) -> bool:
        return any(
            how["condition"] == DONE
            for service in SERVICES.values()
            for other, how in service.get("depends_on", {}).items()
            if other == name
        )

    def _kill(self) -> None:
        for process in self._services.values():
            process.kill()
            process.wait(30)


@contextmanager
def deployed(folder: Path, databases: Databases) -> Iterator[Deployment]:
    """Start the engines; the services come with `up`."""
    with ExitStack() as stack:
        yield Deployment(folder, stack, databases)
