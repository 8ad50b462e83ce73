"""One Cassandra node; several of one cluster have loopback addresses of their own."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from engines import packages
from engines.processes import Process
from engines.server import Server, connect, free_port, receive

JVM_OPTIONS = Path(__file__).with_name("cassandra-jvm.options")
# Without one it logs at DEBUG and runs at half speed.
LOGBACK = """\
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %level %msg \\(%logger{0}\\)%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="console"/></root>
</configuration>
"""
# What is replayed after a kill ends at the last sync marker in the log. Periodic syncing sets one
# every 100 ms, whatever its period; batches are acknowledged behind one.
SYNCED = {"commitlog_sync": "batch"}
UNSYNCED = {"commitlog_sync": "periodic", "commitlog_sync_period": "10s"}
# Each change of a schema is otherwise written to files of its own, which takes 0.2 s and more.
ONCE = {"cassandra.test.flush_local_schema_changes": "false", "cassandra.skip_sync": "true"}
# The native protocol, version 4: OPTIONS is answered with SUPPORTED.
HEADER, REQUEST_VERSION, OPTIONS, SUPPORTED = ">BBhBi", 0x04, 0x05, 0x06


class CassandraNode(Server):
    """A node on loopback. Drivers connect to `address`, `port`.

    A cluster: nodes with addresses 127.0.0.1, .2, .3, the same `port` and `storage_port`, the
    first one's `peer` as `seeds`, started one after another.

    `synced`: a write is acknowledged after the commit log is on the disk, so that one node keeps
    its word when it is killed. Without, as Cassandra does by itself and rests on other replicas,
    a kill loses what was acknowledged in the last 100 ms, and writing is 2 to 5 times faster.

    `once`: it is not started again. It syncs nothing, and a kill loses its tables; making the
    tables is 4 times faster.
    """

    name: ClassVar[str] = "cassandra"

    def __init__(
        self,
        folder: Path,
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        storage_port: int | None = None,
        seeds: Sequence[str] = (),
        synced: bool = True,
        once: bool = False,
        heap_mb: int = 512,
        outlives: bool = False,
    ) -> None:
        super().__init__(folder, outlives=outlives)
        self.address = address
        self.port = port or free_port(address)
        self._storage_port = storage_port or free_port(address)
        self.peer = f"{address}:{self._storage_port}"
        self._seeds = seeds or [self.peer]
        self._synced = synced and not once
        self._once_only = once
        self._heap_mb = heap_mb

    @classmethod
    def provide(cls) -> None:
        """Install Java and fetch the jars; see `Server`."""
        packages.java()
        packages.jars(cls.name)

    def answers(self) -> bool:
        """Ask for its options: it opens this port last, when queries are served."""
        try:
            with connect(self.address, self.port) as connection:
                connection.sendall(struct.pack(HEADER, REQUEST_VERSION, 0, 0, OPTIONS, 0))
                header = receive(connection, struct.calcsize(HEADER))
        except OSError:
            return False
        return bool(struct.unpack(HEADER, header)[3] == SUPPORTED)

    def configuration(self) -> str:
        """Return the content of `cassandra.yaml`: JSON, which is YAML."""
        data = self.folder / "data"
        settings = {
            "cluster_name": "chat4all",
            "num_tokens": 4,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "data_file_directories": [str(data / "data")],
            "commitlog_directory": str(data / "commitlog"),
            "saved_caches_directory": str(data / "saved_caches"),
            "hints_directory": str(data / "hints"),
            "cdc_raw_directory": str(data / "cdc_raw"),
            **(SYNCED if self._synced else UNSYNCED),
            # With direct I/O, acknowledged rows were lost when the process was killed.
            "commitlog_disk_access_mode": "legacy",
            "listen_address": self.address,
            "storage_port": self._storage_port,
            "rpc_address": self.address,
            "native_transport_port": self.port,
            "seed_provider": [
                {
                    "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                    "parameters": [{"seeds": ",".join(self._seeds)}],
                }
            ],
            "auto_snapshot": False,  # a dropped table is gone
            "memtable_allocation_type": "heap_buffers",
            "concurrent_compactors": 1,
        }
        return json.dumps(settings, indent=2)

    def _prepare(self) -> None:
        (self.folder / "cassandra.yaml").write_text(self.configuration())
        (self.folder / "logback.xml").write_text(LOGBACK)
        self._once(lambda _: None)  # it makes its folders itself

    def _launch(self) -> Process:
        jars = packages.jars(self.name)
        settings = {
            "cassandra.config": (self.folder / "cassandra.yaml").as_uri(),
            "cassandra.storagedir": self.folder / "data",
            "cassandra-foreground": "yes",
            "cassandra.ring_delay_ms": 1000,
            "cassandra.skip_wait_for_gossip_to_settle": 0,
            # It looks at the clock every 2 ms otherwise: half of what it takes while it idles.
            "cassandra.approximate_time_precision_ms": 20,
            "logback.configurationFile": "logback.xml",
            **(ONCE if self._once_only else {}),
        }
        return self._start(
            [
                *packages.java_command(self.folder, self._heap_mb),
                f"-javaagent:{next(jars.glob('jamm-*.jar'))}",
                f"@{JVM_OPTIONS}",
                *(f"-D{name}={value}" for name, value in settings.items()),
                *("-cp", f"{jars}/*"),
                "org.apache.cassandra.service.CassandraDaemon",
            ]
        )
