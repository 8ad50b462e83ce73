"""Two gateways with a metadata service and a store of files, whose S3 server may be killed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import CassandraNode, KafkaBroker, S3Server
from tests.cluster.services import Cluster, Service, a_cluster, all_ready
from tests.cluster.test_services import People
from tests.databases import Databases
from tests.faults.test_uploads import downloaded


class FilesSite:
    """A cluster for uploads of one user; no router is needed for them."""

    def __init__(self, cluster: Cluster, s3: S3Server) -> None:
        self.s3 = s3
        cluster.keep_files_in(s3)
        self.bucket = cluster.topic
        self.metadata = cluster.service("metadata")
        self.gateways = [cluster.service("gateway") for _ in range(2)]
        self.services = [self.metadata, *self.gateways]
        for service in self.services:
            service.start()
        all_ready(self.services)
        people = People(self.gateways, ["bruno", "ana"])
        self.chat, self.token = people.chat, people.tokens["bruno"]

    def restart(self, gateway: Service) -> None:
        gateway.start()
        all_ready([gateway])

    def is_everywhere(self, path: str, digest: str) -> None:
        """Each gateway gives these bytes."""
        for gateway in self.gateways:
            assert downloaded(gateway.url + path, self.token) == digest


@pytest.fixture(scope="module", name="site")
def files_site(
    tmp_path_factory: pytest.TempPathFactory,
    kafka: KafkaBroker,
    cassandra: CassandraNode,
    databases_of_all: Databases,
) -> Iterator[FilesSite]:
    folder = tmp_path_factory.mktemp("files")
    with (
        S3Server(folder / "s3") as s3,
        a_cluster(folder, kafka, cassandra, databases_of_all) as cluster,
    ):
        cluster.migrate()
        yield FilesSite(cluster, s3)


def joined(one: Path, other: Path, offset: int) -> str:
    """Return the SHA-256 of the one file up to an offset, and of the other from there on."""
    return hashlib.sha256(one.read_bytes()[:offset] + other.read_bytes()[offset:]).hexdigest()
