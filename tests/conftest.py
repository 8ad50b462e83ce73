import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from engines import CassandraNode, KafkaBroker, S3Server
from tests.databases import Databases, serving

# A failure must be the same on every machine and on every run, also on a machine that is busy: how
# long it takes to make examples is no ground for one.
settings.register_profile(
    "chat4all",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("chat4all")

# A shell starts jobs in the background with these ignored, and processes leave it so.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker for all tests that leave it running; each makes topics of its own."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraNode]:
    """A node for all tests that leave it running; each makes a keyspace of its own."""
    with CassandraNode(tmp_path_factory.mktemp("cassandra"), synced=False) as node:
        yield node


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for all tests that leave it running; each makes buckets of its own."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def databases_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A PostgreSQL server that all tests share."""
    with serving(tmp_path_factory.mktemp("postgres")) as found:
        yield found


@pytest.fixture
def databases(databases_of_all: Databases) -> Iterator[Databases]:
    """Databases on that server, which go with the test."""
    yield databases_of_all
    databases_of_all.drop_all()
