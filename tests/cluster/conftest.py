from collections.abc import Iterator

import pytest

from engines import CassandraNode, KafkaBroker
from tests.cluster.site import Site
from tests.databases import serving


@pytest.fixture(scope="package")
def site_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        KafkaBroker(folder / "kafka") as kafka,
        CassandraNode(folder / "cassandra") as cassandra,
        serving(folder / "postgres") as databases,
    ):
        found = Site(folder, kafka, cassandra, databases)
        found.cluster.migrate()
        try:
            yield found
        finally:
            found.cluster.kill()


@pytest.fixture
def site(site_of_all: Site) -> Site:
    """A cluster whose engines may be killed: it is whole again at the next test's beginning."""
    site_of_all.mend()
    return site_of_all
