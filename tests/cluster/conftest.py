from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engines import CassandraNode, KafkaBroker
from tests.cluster.chats import Chats, chats_on
from tests.cluster.site import Site
from tests.databases import Databases, serving


@pytest.fixture(scope="module")
def chats(
    tmp_path_factory: pytest.TempPathFactory,
    kafka: KafkaBroker,
    cassandra: CassandraNode,
    databases_of_all: Databases,
) -> Iterator[Chats]:
    with chats_on(tmp_path_factory.mktemp("cluster"), kafka, cassandra, databases_of_all) as found:
        yield found


@pytest.fixture
def on(chats: Chats) -> Iterator[Chats]:
    """Gateways on the shared engines; the routers are each test's own."""
    yield chats
    chats.end_routers()


@pytest.fixture(scope="package")
def site_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        starting(CassandraNode(folder / "cassandra")) as cassandra,
        KafkaBroker(folder / "kafka") as kafka,
        serving(folder / "postgres") as databases,
    ):
        cassandra.wait_ready()
        found = Site(folder, kafka, cassandra, databases)
        found.cluster.migrate()
        try:
            yield found
        finally:
            found.cluster.kill()


@contextmanager
def starting(node: CassandraNode) -> Iterator[CassandraNode]:
    """Start a node without waiting for it: others start meanwhile."""
    try:
        node.start()
        yield node
    finally:
        node.kill()


@pytest.fixture
def site(site_of_all: Site) -> Site:
    """A cluster whose engines may be killed: it is whole again at the next test's beginning."""
    site_of_all.mend()
    return site_of_all
