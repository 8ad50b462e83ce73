import gc
import os
import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from engines import CassandraNode, KafkaBroker, S3Server
from tests.api.conftest import started_once
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

# Until all modules are imported nothing is garbage; to look through it is a quarter of the time.
gc.disable()

# Engines of tests live for minutes at most: they start in half the time, and leave the processor
# to others, where nothing is compiled to be as fast as possible.
os.environ["JDK_JAVA_OPTIONS"] = f"-XX:TieredStopAtLevel=1 {os.getenv('JDK_JAVA_OPTIONS', '')}"

# A shell starts jobs in the background with these ignored, and processes leave it so.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage in what tests make only, not in all modules again and again."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Look for what nobody closed once: pytest does it twice, each time in all that is alive."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what may take longest, where several processes share the files.

    So none of these is left for the end, when the other processes have nothing to do any more. The
    files of a folder are kept together, for they may share engines, which start once then.
    """
    if not hasattr(config, "workerinput"):
        return
    longest: dict[Path, float] = defaultdict(float)
    for item in items:
        if (marker := item.get_closest_marker("timeout")) is not None:
            for path in (item.path, item.path.parent):
                longest[path] = max(longest[path], marker.args[0])
    items.sort(key=lambda item: (-longest[item.path.parent], item.path.parent, -longest[item.path]))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker for all tests that leave it running; each makes topics of its own."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraNode]:
    """A node for all tests that leave it running; each has a keyspace for itself."""
    with CassandraNode(tmp_path_factory.mktemp("cassandra"), once=True) as node:
        yield node


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for all tests that leave it running; each makes buckets of its own."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _folder_that_was_started() -> None:
    """Make it before any test, whose patches would be in what all others copy."""
    started_once()


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
