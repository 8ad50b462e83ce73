"""One server for all tests of this folder that need a whole one."""

from collections.abc import Iterator

import pytest

from tests.faults.running import Running


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(tmp_path_factory.mktemp("server")).start()
    yield found
    found.kill()
